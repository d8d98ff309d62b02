"""Lets old entries leave the database: what they came to stays, and where the chain goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _big(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        _text("tenant_id"),
        _big("sequence"),
        sa.Column("row_hash", sa.LargeBinary, nullable=False),
        _big("cost_nano_usd"),
        _big("create_time_us"),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_table(
        "checkpoint_balances",
        _text("tenant_id"),
        _text("key_text"),
        _big("used_nano_usd"),
        sa.PrimaryKeyConstraint("tenant_id", "key_text"),
    )
    # Turns that used nothing have no entry to leave with.
    released = sa.text("state = 'released'")
    op.create_index(
        "turns_released",
        "turns",
        ["create_time_us"],
        sqlite_where=released,
        postgresql_where=released,
    )


def downgrade() -> None:
    op.drop_index("turns_released", "turns")
    op.drop_table("checkpoint_balances")
    op.drop_table("checkpoints")
