"""Makes the tables: usage counters, allowances, turns, the ledger, its sums, alerts and keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _big(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def _small(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, nullable=False)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _flag(name: str) -> "sa.Column[bool]":
    return sa.Column(name, sa.Boolean, nullable=False)


def _bytes(name: str, *, nullable: bool = False) -> "sa.Column[bytes]":
    return sa.Column(name, sa.LargeBinary, nullable=nullable)


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


def upgrade() -> None:
    _make_usage()
    _make_admissions()
    _make_ledger()
    _make_sums()
    _make_alerts_and_keys()


def _make_usage() -> None:
    op.create_table(
        "usage_counters",
        _text("key_text"),
        _big("reserved_nano_usd"),
        _small("day"),
        _big("day_used_nano_usd"),
        _small("day_alert"),
        _text("day_policy_rules"),
        _small("month"),
        _big("month_used_nano_usd"),
        _small("month_alert"),
        _big("total_used_nano_usd"),
        _small("total_alert"),
        _text("tokens"),
        sa.PrimaryKeyConstraint("key_text"),
    )
    op.create_table(
        "allowances",
        _text("key_text"),
        _text("level"),
        _text("tenant_id"),
        _text("subject_id"),
        _text("limits_json"),
        sa.PrimaryKeyConstraint("key_text"),
    )
    op.create_table(
        "turns",
        _text("turn_key"),
        _text("tenant_id"),
        _text("request_id"),
        _text("reservation_id"),
        _text("state"),
        _text("team_id"),
        _text("user_id"),
        _text("key_id"),
        _big("create_time_us"),
        _text("decision"),
        _text("policy_rule"),
        _text("model"),
        _text("downgrade_model"),
        _big("input_token_count"),
        _big("max_output_token_count"),
        _big("covered_output_token_count"),
        _big("produced_output_token_count"),
        _small("step"),
        _big("amount_nano_usd"),
        _big("charged_token_count"),
        _big("lease_ns"),
        _big("deadline_ns"),
        _text("template"),
        _text("tags_json"),
        _text("booked_attempts_json"),
        _big("cost_nano_usd"),
        _big("expiry_cost_nano_usd"),
        _small("input_send_count"),
        _big("spent_nano_usd"),
        sa.PrimaryKeyConstraint("turn_key"),
    )
    op.create_index("turns_by_reservation", "turns", ["reservation_id"])
    # Only running turns are looked up by deadline, and they are few.
    held = sa.text("state = 'held'")
    op.create_index(
        "turns_by_deadline", "turns", ["deadline_ns"], sqlite_where=held, postgresql_where=held
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
    op.create_table(
        "output_lengths",
        _text("tenant_id"),
        _text("template"),
        sa.Column("token_count", sa.Float, nullable=False),
        _big("sample_count"),
        sa.PrimaryKeyConstraint("tenant_id", "template"),
    )


def _make_admissions() -> None:
    # They last for minutes, so a crash of the database may lose them.
    prefixes = ["UNLOGGED"] if op.get_bind().dialect.name == "postgresql" else []
    op.create_table(
        "admissions",
        _text("turn_key"),
        _text("reservation_id"),
        _big("deadline_ns"),
        _text("key_texts_json"),
        sa.PrimaryKeyConstraint("turn_key"),
        prefixes=prefixes,
    )
    op.create_index("admissions_by_deadline", "admissions", ["deadline_ns"])
    op.create_table(
        "admission_counters",
        _text("key_text"),
        _text("requests"),
        _small("running_turn_count"),
        _big("change_ns"),
        sa.PrimaryKeyConstraint("key_text"),
        prefixes=prefixes,
    )


def _make_ledger() -> None:
    op.create_table(
        "entries",
        _text("tenant_id"),
        _big("sequence"),
        _text("request_id"),
        _small("attempt_number"),
        _text("account"),
        _text("counter_account"),
        _flag("is_correction"),
        _text("team_id"),
        _text("user_id"),
        _text("key_id"),
        _text("provider"),
        _text("model"),
        _text("kind"),
        _big("input_token_count"),
        _big("cached_input_token_count"),
        _big("cache_write_token_count"),
        _big("output_token_count"),
        _big("reasoning_token_count"),
        _flag("is_estimated"),
        _big("cost_nano_usd"),
        _big("saved_cost_nano_usd"),
        _text("price_version"),
        _text("template"),
        _small("template_version"),
        _text("tags_json"),
        _small("turn_count"),
        _small("attempt_count"),
        _small("cache_hit_count"),
        _big("end_time_us"),
        _big("create_time_us"),
        _bytes("row_hash"),
        sa.PrimaryKeyConstraint("tenant_id", "sequence"),
    )
    # What makes a booking happen once, whatever else goes wrong.
    op.create_index(
        "entries_by_turn",
        "entries",
        ["tenant_id", "request_id", "attempt_number", "account", "is_correction"],
        unique=True,
    )
    op.create_index("entries_by_end_time", "entries", ["tenant_id", "end_time_us"])
    op.create_table(
        "streams",
        _text("tenant_id"),
        _big("sequence"),
        _bytes("row_hash"),
        sa.PrimaryKeyConstraint("tenant_id"),
    )

    # Tells a process whether it has seen all commits.
    made = op.create_table(
        "ledger_version",
        _small("number"),
        _big("version"),
        sa.PrimaryKeyConstraint("number"),
    )
    op.bulk_insert(made, [{"number": 1, "version": 0}])


def _make_sums() -> None:
    op.create_table(
        "rollups",
        _text("dimension"),
        _text("tag"),
        _small("level"),
        _text("tenant_id"),
        _big("start_us"),
        _text("name"),
        *(_big(name) for name in _SUMS),
        sa.PrimaryKeyConstraint("dimension", "tag", "level", "tenant_id", "start_us", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollup_positions",
        _text("tenant_id"),
        _big("sequence"),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_table(
        "checkpoints",
        _text("tenant_id"),
        _big("sequence"),
        _bytes("row_hash"),
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


def _make_alerts_and_keys() -> None:
    op.create_table(
        "alerts",
        _big("alert_number"),
        _text("kind"),
        _text("level"),
        _text("tenant_id"),
        _text("subject_id"),
        _text("message"),
        _big("used_nano_usd"),
        _big("limit_nano_usd"),
        _big("create_time_us"),
        sa.PrimaryKeyConstraint("alert_number"),
    )
    op.create_table(
        "webhooks",
        _text("url"),
        _big("alert_number"),
        sa.PrimaryKeyConstraint("url"),
    )
    op.create_table(
        "keys",
        _text("key_id"),
        _text("prefix"),
        _bytes("secret_sha256"),
        _bytes("old_secret_sha256", nullable=True),
        sa.Column("old_secret_expire_time_us", sa.BigInteger),
        _text("tenant_id"),
        _text("team_id"),
        _text("user_id"),
        _text("scopes_json"),
        _flag("may_act_for_users"),
        _text("display_name"),
        _big("create_time_us"),
        sa.Column("expire_time_us", sa.BigInteger),
        sa.Column("revoke_time_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_index("keys_by_secret", "keys", ["secret_sha256"], unique=True)
    op.create_index("keys_by_old_secret", "keys", ["old_secret_sha256"])
    op.create_index("keys_by_tenant", "keys", ["tenant_id", "create_time_us"])
    op.create_table(
        "key_changes",
        _big("change_number"),
        _text("key_id"),
        sa.PrimaryKeyConstraint("change_number"),
    )


def downgrade() -> None:
    for table in (
        "key_changes",
        "keys",
        "webhooks",
        "alerts",
        "checkpoint_balances",
        "checkpoints",
        "rollup_positions",
        "rollups",
        "ledger_version",
        "streams",
        "entries",
        "admission_counters",
        "admissions",
        "output_lengths",
        "turns",
        "allowances",
        "usage_counters",
    ):
        op.drop_table(table)
