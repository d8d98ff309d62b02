"""
Moves raters' comments to the texts that are kept by consent and for a limited time.

Comments stored so far are dropped: they were neither asked for nor redacted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("turn_texts", _comment())
    op.drop_column("evaluations", "comment")


def downgrade() -> None:
    op.add_column("evaluations", _comment())
    op.drop_column("turn_texts", "comment")


def _comment() -> "sa.Column[str]":
    return sa.Column("comment", sa.Text, nullable=False, server_default="")
