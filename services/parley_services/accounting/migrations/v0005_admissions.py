"""Moves what admission counts out of the meters, and counts rates over sliding windows."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Admissions last for minutes, so a crash of the database may lose them.
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    prefixes = ["UNLOGGED"] if is_postgresql else []
    op.create_table(
        "admissions",
        sa.Column("turn_key", sa.Text, nullable=False),
        sa.Column("reservation_id", sa.Text, nullable=False),
        sa.Column("deadline_ns", sa.BigInteger, nullable=False),
        sa.Column("key_texts_json", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("turn_key"),
        prefixes=prefixes,
    )
    op.create_index("admissions_by_deadline", "admissions", ["deadline_ns"])
    op.create_table(
        "admission_counters",
        sa.Column("key_text", sa.Text, nullable=False),
        sa.Column("requests", sa.Text, nullable=False),
        sa.Column("running_turn_count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("key_text"),
        prefixes=prefixes,
    )
    op.drop_column("meters", "running_turn_count")
    op.drop_column("meters", "requests_arrival_ns")
    op.drop_column("meters", "tokens_arrival_ns")
    op.add_column("meters", sa.Column("tokens", sa.Text, nullable=False, server_default=""))
    op.add_column(
        "turns", sa.Column("input_send_count", sa.Integer, nullable=False, server_default="1")
    )
    op.add_column(
        "turns", sa.Column("spent_nano_usd", sa.BigInteger, nullable=False, server_default="0")
    )


def downgrade() -> None:
    op.drop_column("turns", "spent_nano_usd")
    op.drop_column("turns", "input_send_count")
    op.drop_column("meters", "tokens")
    for name, kind in (
        ("tokens_arrival_ns", sa.BigInteger),
        ("requests_arrival_ns", sa.BigInteger),
        ("running_turn_count", sa.Integer),
    ):
        op.add_column("meters", sa.Column(name, kind, nullable=False, server_default="0"))
    op.drop_table("admission_counters")
    op.drop_table("admissions")
