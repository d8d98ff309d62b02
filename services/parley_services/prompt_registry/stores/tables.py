"""The tables, as queries see them. The migrations make them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
)

_metadata = MetaData()
_START = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(at: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (at - _START) // timedelta(microseconds=1)


def moment(at_us: int) -> datetime:
    """Return the time of *at_us* microseconds since 1970."""
    return _START + timedelta(microseconds=at_us)


TURN_KEY = ("tenant_id", "request_id", "lane")
"""The columns that name a turn, or an arm that ran beside it."""

TALLY_KEY = ("template", "version", "experiment_id", "arm", "epoch")
"""The columns that name a tally."""


def _turn_key() -> "list[Column[str]]":
    return [Column(name, Text, primary_key=True) for name in TURN_KEY]


def _tally_key() -> list[Column[Any]]:
    return [
        Column(name, Integer if name in ("version", "epoch") else Text, primary_key=True)
        for name in TALLY_KEY
    ]


registry_state = Table(
    "registry_state", _metadata, Column("id", Integer), Column("revision", BigInteger)
)

templates = Table(
    "templates",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("revision", BigInteger),
)

template_versions = Table(
    "template_versions",
    _metadata,
    Column("template", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("content_sha256", Text),
    Column("content_json", Text),
    Column("author", Text),
    Column("note", Text),
    Column("create_time_us", BigInteger),
)

labels = Table(
    "labels",
    _metadata,
    Column("template", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer),
    Column("etag", Text),
    Column("is_protected", Boolean),
    Column("generation", Integer),
    Column("previous_version", Integer),
)

experiments = Table(
    "experiments",
    _metadata,
    Column("experiment_id", Text, primary_key=True),
    Column("template", Text),
    Column("experiment_json", Text),
)

sticky_assignments = Table(
    "sticky_assignments",
    _metadata,
    Column("experiment_id", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("arm", Text),
)

label_moves = Table(
    "label_moves",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("template", Text),
    Column("label", Text),
    Column("from_version", Integer),
    Column("to_version", Integer),
    Column("author", Text),
    Column("note", Text),
    Column("create_time_us", BigInteger),
)

rollbacks = Table(
    "rollbacks",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("template", Text),
    Column("experiment_id", Text),
    Column("from_version", Integer),
    Column("to_version", Integer),
    Column("reason", Text),
    Column("measure", Text),
    Column("observed", Double),
    Column("bound", Double),
    Column("is_automatic", Boolean),
    Column("create_time_us", BigInteger),
)

evaluations = Table(
    "evaluations",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant_id", Text),
    Column("request_id", Text),
    Column("lane", Text),
    Column("user_id", Text),
    Column("template", Text),
    Column("version", Integer),
    Column("experiment_id", Text),
    Column("arm", Text),
    Column("epoch", Integer),
    Column("is_shadow", Boolean),
    Column("model", Text),
    Column("finish_reason", Text),
    Column("error_reason", Text),
    Column("guardrail_blocked", Boolean),
    Column("format_failed", Boolean),
    Column("source", Text),
    Column("input_token_count", BigInteger),
    Column("cached_input_token_count", BigInteger),
    Column("cache_write_token_count", BigInteger),
    Column("output_token_count", BigInteger),
    Column("reasoning_token_count", BigInteger),
    Column("estimated", Boolean),
    Column("cost_nano_usd", BigInteger),
    Column("latency_us", BigInteger),
    Column("first_delta_us", BigInteger),
    Column("end_time_us", BigInteger),
    Column("stars", Integer),
)

shadow_comparisons = Table(
    "shadow_comparisons",
    _metadata,
    *_turn_key(),
    Column("length_ratio", Double),
    Column("similarity", Double),
    Column("answer_format_valid", Boolean),
    Column("shadow_format_valid", Boolean),
    Column("answer_latency_us", BigInteger),
    Column("answer_cost_nano_usd", BigInteger),
    Column("end_time_us", BigInteger),
)

turn_texts = Table(
    "turn_texts",
    _metadata,
    *_turn_key(),
    Column("input_text", Text),
    Column("output_text", Text),
    Column("end_time_us", BigInteger),
    Column("comment", Text),
)

tallies = Table(
    "tallies",
    _metadata,
    *_tally_key(),
    Column("request_count", BigInteger),
    Column("guardrail_block_count", BigInteger),
    Column("format_failure_count", BigInteger),
    Column("cache_hit_count", BigInteger),
    Column("input_token_count", BigInteger),
    Column("cached_input_token_count", BigInteger),
    Column("cache_write_token_count", BigInteger),
    Column("output_token_count", BigInteger),
    Column("reasoning_token_count", BigInteger),
    Column("estimated_count", BigInteger),
    Column("cost_nano_usd", BigInteger),
    Column("cost_squares", Double),
    Column("rating_count", BigInteger),
    Column("star_count", BigInteger),
    Column("low_rating_count", BigInteger),
)

tally_errors = Table(
    "tally_errors",
    _metadata,
    *_tally_key(),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger),
)

tally_times = Table(
    "tally_times",
    _metadata,
    *_tally_key(),
    Column("kind", Text, primary_key=True),
    Column("bucket", Integer, primary_key=True),
    Column("count", BigInteger),
)

tally_shadows = Table(
    "tally_shadows",
    _metadata,
    *_tally_key(),
    Column("pair_count", BigInteger),
    Column("similarity_sum", Double),
    Column("log_length_ratio_sum", Double),
    Column("answer_format_failure_count", BigInteger),
    Column("shadow_format_failure_count", BigInteger),
    Column("answer_latency_us", BigInteger),
    Column("shadow_latency_us", BigInteger),
    Column("answer_cost_nano_usd", BigInteger),
    Column("shadow_cost_nano_usd", BigInteger),
)
