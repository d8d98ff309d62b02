"""
The tables. The migrations make them; here they are for queries.

Times are microseconds since 1970 and amounts are nano-dollars, both 64-bit integers, so
that they are the same on every database and in every hash.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()


def _big(name: str) -> "Column[int]":
    return Column(name, BigInteger, nullable=False)


def _small(name: str) -> "Column[int]":
    return Column(name, Integer, nullable=False)


def _text(name: str, *, primary_key: bool = False) -> "Column[str]":
    return Column(name, Text, nullable=False, primary_key=primary_key)


usage_counters = Table(
    "usage_counters",
    metadata,
    _text("key_text", primary_key=True),
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
)

allowances = Table(
    "allowances",
    metadata,
    _text("key_text", primary_key=True),
    _text("level"),
    _text("tenant_id"),
    _text("subject_id"),
    _text("limits_json"),
)

turns = Table(
    "turns",
    metadata,
    _text("turn_key", primary_key=True),
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
)

admissions = Table(
    "admissions",
    metadata,
    _text("turn_key", primary_key=True),
    _text("reservation_id"),
    _big("deadline_ns"),
    _text("key_texts_json"),
)
"""The running turns, where several processes share the ledger."""

admission_counters = Table(
    "admission_counters",
    metadata,
    _text("key_text", primary_key=True),
    _text("requests"),
    _small("running_turn_count"),
    _big("change_ns"),
)
"""`change_ns` is when a counter was last written, so that idle ones can go."""

entries = Table(
    "entries",
    metadata,
    _text("tenant_id", primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    _text("request_id"),
    _small("attempt_number"),
    _text("account"),
    _text("counter_account"),
    Column("is_correction", Boolean, nullable=False),
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
    Column("is_estimated", Boolean, nullable=False),
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
    Column("row_hash", LargeBinary, nullable=False),
)

streams = Table(
    "streams",
    metadata,
    _text("tenant_id", primary_key=True),
    _big("sequence"),
    Column("row_hash", LargeBinary, nullable=False),
)

rollups = Table(
    "rollups",
    metadata,
    _text("dimension", primary_key=True),
    _text("tag", primary_key=True),
    Column("level", Integer, primary_key=True),
    _text("tenant_id", primary_key=True),
    Column("start_us", BigInteger, primary_key=True),
    _text("name", primary_key=True),
    _big("turn_count"),
    _big("attempt_count"),
    _big("cache_hit_count"),
    _big("input_token_count"),
    _big("cached_input_token_count"),
    _big("cache_write_token_count"),
    _big("output_token_count"),
    _big("reasoning_token_count"),
    _big("cost_nano_usd"),
    _big("saved_cost_nano_usd"),
)

rollup_positions = Table(
    "rollup_positions",
    metadata,
    _text("tenant_id", primary_key=True),
    _big("sequence"),
)
"""How far each stream is rolled up."""

checkpoints = Table(
    "checkpoints",
    metadata,
    _text("tenant_id", primary_key=True),
    _big("sequence"),
    Column("row_hash", LargeBinary, nullable=False),
    _big("cost_nano_usd"),
    _big("create_time_us"),
)

checkpoint_balances = Table(
    "checkpoint_balances",
    metadata,
    _text("tenant_id", primary_key=True),
    _text("key_text", primary_key=True),
    _big("used_nano_usd"),
)

output_lengths = Table(
    "output_lengths",
    metadata,
    _text("tenant_id", primary_key=True),
    _text("template", primary_key=True),
    Column("token_count", Float, nullable=False),
    _big("sample_count"),
)

ledger_version = Table(
    "ledger_version",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    _big("version"),
)
"""One row, whose number is 1. Its version counts the commits that changed what steps read."""

alerts = Table(
    "alerts",
    metadata,
    Column("alert_number", BigInteger, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("level"),
    _text("tenant_id"),
    _text("subject_id"),
    _text("message"),
    _big("used_nano_usd"),
    _big("limit_nano_usd"),
    _big("create_time_us"),
)

keys = Table(
    "keys",
    metadata,
    _text("key_id", primary_key=True),
    _text("prefix"),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("old_secret_sha256", LargeBinary),
    Column("old_secret_expire_time_us", BigInteger),
    _text("tenant_id"),
    _text("team_id"),
    _text("user_id"),
    _text("scopes_json"),
    Column("may_act_for_users", Boolean, nullable=False),
    _text("display_name"),
    _big("create_time_us"),
    Column("expire_time_us", BigInteger),
    Column("revoke_time_us", BigInteger),
)

key_changes = Table(
    "key_changes",
    metadata,
    Column("change_number", BigInteger, primary_key=True, autoincrement=False),
    _text("key_id"),
)

webhooks = Table(
    "webhooks",
    metadata,
    _text("url", primary_key=True),
    _big("alert_number"),
)
