"""Keeps sums of the ledger over spans of time, and how far they go."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SUMS = (
    "turn_count",
    "attempt_count",
    "cache_hit_count",
    "input_token_count",
    "cached_input_token_count",
    "cache_write_token_count",
    "output_token_count",
    "reasoning_token_count",
    "cost_nano_usd",
    "saved_cost_nano_usd",
)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _big(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    op.create_table(
        "rollups",
        _text("dimension"),
        _text("tag"),
        sa.Column("level", sa.Integer, nullable=False),
        _text("tenant_id"),
        _big("start_us"),
        _text("name"),
        *(_big(name) for name in _SUMS),
        sa.PrimaryKeyConstraint("dimension", "tag", "level", "tenant_id", "start_us", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "roll_positions",
        _text("tenant_id"),
        _big("sequence"),
        sa.PrimaryKeyConstraint("tenant_id"),
    )


def downgrade() -> None:
    op.drop_table("roll_positions")
    op.drop_table("rollups")
