"""Makes the tables of how shadow arms compare, and of what was said in turns."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TURN = ("tenant_id", "request_id", "lane")


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def _real(name: str) -> "sa.Column[float]":
    return sa.Column(name, sa.Double, nullable=False)


def _flag(name: str) -> "sa.Column[bool]":
    return sa.Column(name, sa.Boolean, nullable=False)


def upgrade() -> None:
    op.create_table(
        "shadow_comparisons",
        *map(_text, _TURN),
        _real("length_ratio"),
        _real("similarity"),
        _flag("answer_format_valid"),
        _flag("shadow_format_valid"),
        _number("answer_latency_us"),
        _number("answer_cost_nano_usd"),
        _number("end_time_us"),
        sa.PrimaryKeyConstraint(*_TURN),
    )
    op.create_index("shadow_comparisons_by_end", "shadow_comparisons", ["end_time_us"])
    op.create_table(
        "turn_texts",
        *map(_text, _TURN),
        _text("input_text"),
        _text("output_text"),
        _number("end_time_us"),
        sa.PrimaryKeyConstraint(*_TURN),
    )
    op.create_index("turn_texts_by_end", "turn_texts", ["end_time_us"])
    key = (
        _text("template"),
        sa.Column("version", sa.Integer, nullable=False),
        _text("experiment_id"),
        _text("arm"),
        sa.Column("epoch", sa.Integer, nullable=False),
    )
    op.create_table(
        "tally_shadows",
        *key,
        _number("pair_count"),
        _real("similarity_sum"),
        _real("log_length_ratio_sum"),
        _number("answer_format_failure_count"),
        _number("shadow_format_failure_count"),
        _number("answer_latency_us"),
        _number("shadow_latency_us"),
        _number("answer_cost_nano_usd"),
        _number("shadow_cost_nano_usd"),
        sa.PrimaryKeyConstraint(*(each.name for each in key)),
    )


def downgrade() -> None:
    for table in ("tally_shadows", "turn_texts", "shadow_comparisons"):
        op.drop_table(table)
