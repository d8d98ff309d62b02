"""Makes the tables of templates, their history, and outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TALLY_KEY = ("template", "version", "experiment_id", "arm", "epoch")


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _small(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, nullable=False)


def _big(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def _flag(name: str) -> "sa.Column[bool]":
    return sa.Column(name, sa.Boolean, nullable=False)


def _row_id() -> "sa.Column[int]":
    # SQLite counts up by itself only for a primary key of type INTEGER.
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("id", kind, primary_key=True, autoincrement=True)


def upgrade() -> None:
    _make_templates()
    _make_history()
    _make_evaluations()
    _make_tallies()


def _make_templates() -> None:
    state = op.create_table("registry_state", _small("id"), _big("revision"))
    op.bulk_insert(state, [{"id": 1, "revision": 0}])
    op.create_table("templates", _text("name"), _big("revision"), sa.PrimaryKeyConstraint("name"))
    op.create_index("templates_by_revision", "templates", ["revision"])
    op.create_table(
        "template_versions",
        _text("template"),
        _small("version"),
        _text("content_sha256"),
        _text("content_json"),
        _text("author"),
        _text("note"),
        _big("create_time_us"),
        sa.PrimaryKeyConstraint("template", "version"),
    )
    op.create_table(
        "labels",
        _text("template"),
        _text("name"),
        _small("version"),
        _text("etag"),
        _flag("is_protected"),
        _small("generation"),
        _small("previous_version"),
        sa.PrimaryKeyConstraint("template", "name"),
    )
    op.create_table(
        "experiments",
        _text("experiment_id"),
        _text("template"),
        _text("experiment_json"),
        sa.PrimaryKeyConstraint("experiment_id"),
    )
    op.create_index("experiments_by_template", "experiments", ["template"])
    op.create_table(
        "sticky_assignments",
        _text("experiment_id"),
        _text("unit"),
        _text("arm"),
        sa.PrimaryKeyConstraint("experiment_id", "unit"),
    )


def _make_history() -> None:
    op.create_table(
        "label_moves",
        _row_id(),
        _text("template"),
        _text("label"),
        _small("from_version"),
        _small("to_version"),
        _text("author"),
        _text("note"),
        _big("create_time_us"),
    )
    op.create_index("label_moves_by_template", "label_moves", ["template", "id"])
    op.create_table(
        "rollbacks",
        _row_id(),
        _text("template"),
        _text("experiment_id"),
        _small("from_version"),
        _small("to_version"),
        _text("reason"),
        _text("measure"),
        sa.Column("observed", sa.Double, nullable=False),
        sa.Column("bound", sa.Double, nullable=False),
        _flag("is_automatic"),
        _big("create_time_us"),
    )
    op.create_index("rollbacks_by_template", "rollbacks", ["template", "id"])


def _make_evaluations() -> None:
    op.create_table(
        "evaluations",
        _row_id(),
        _text("tenant_id"),
        _text("request_id"),
        _text("lane"),
        _text("user_id"),
        _text("template"),
        _small("version"),
        _text("experiment_id"),
        _text("arm"),
        _small("epoch"),
        _flag("is_shadow"),
        _text("model"),
        _text("finish_reason"),
        _text("error_reason"),
        _flag("guardrail_blocked"),
        _flag("format_failed"),
        _text("source"),
        _big("input_token_count"),
        _big("cached_input_token_count"),
        _big("cache_write_token_count"),
        _big("output_token_count"),
        _big("reasoning_token_count"),
        _flag("estimated"),
        _big("cost_nano_usd"),
        _big("latency_us"),
        sa.Column("first_delta_us", sa.BigInteger),
        _big("end_time_us"),
        _small("stars"),
        _text("comment"),
        sa.UniqueConstraint("tenant_id", "request_id", "lane"),
    )
    op.create_index("evaluations_by_template", "evaluations", ["template", "id"])
    op.create_index("evaluations_by_end", "evaluations", ["end_time_us"])


def _tally_key() -> tuple["sa.Column[str] | sa.Column[int]", ...]:
    return (
        _text("template"),
        _small("version"),
        _text("experiment_id"),
        _text("arm"),
        _small("epoch"),
    )


def _make_tallies() -> None:
    op.create_table(
        "tallies",
        *_tally_key(),
        _big("request_count"),
        _big("guardrail_block_count"),
        _big("format_failure_count"),
        _big("cache_hit_count"),
        _big("input_token_count"),
        _big("cached_input_token_count"),
        _big("cache_write_token_count"),
        _big("output_token_count"),
        _big("reasoning_token_count"),
        _big("estimated_count"),
        _big("cost_nano_usd"),
        sa.Column("cost_squares", sa.Double, nullable=False),
        _big("rating_count"),
        _big("star_count"),
        _big("low_rating_count"),
        sa.PrimaryKeyConstraint(*_TALLY_KEY),
    )
    op.create_table(
        "tally_errors",
        *_tally_key(),
        _text("reason"),
        _big("count"),
        sa.PrimaryKeyConstraint(*_TALLY_KEY, "reason"),
    )
    op.create_table(
        "tally_times",
        *_tally_key(),
        _text("kind"),
        _small("bucket"),
        _big("count"),
        sa.PrimaryKeyConstraint(*_TALLY_KEY, "kind", "bucket"),
    )


def downgrade() -> None:
    for table in (
        "tally_times",
        "tally_errors",
        "tallies",
        "evaluations",
        "rollbacks",
        "label_moves",
        "sticky_assignments",
        "experiments",
        "labels",
        "template_versions",
        "templates",
        "registry_state",
    ):
        op.drop_table(table)
