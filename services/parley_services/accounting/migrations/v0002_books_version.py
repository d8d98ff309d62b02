"""Counts the commits of the books, so that a process knows whether it has seen them all."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    made = op.create_table(
        "books_version",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.bulk_insert(made, [{"number": 1, "version": 0}])


def downgrade() -> None:
    op.drop_table("books_version")
