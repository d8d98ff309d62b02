"""Outcomes in a relational database: units of work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, select, update

from services.kit.database import insert
from services.kit.prices import TokenUsage
from services.prompt_registry.outcome import (
    AnswerSource,
    Evaluation,
    FinishReason,
    Outcome,
    Rating,
    Tally,
    TallyKey,
    rating_change,
    tally_of,
)
from services.prompt_registry.sketch import LatencySketch
from services.prompt_registry.store import CountedOutcome, EvaluationFilter, Page
from services.prompt_registry.stores.tables import (
    TALLY_KEY,
    evaluations,
    microseconds,
    moment,
    tallies,
    tally_errors,
    tally_times,
)

_COUNTS = (
    "request_count",
    "guardrail_block_count",
    "format_failure_count",
    "cache_hit_count",
    "cost_nano_usd",
    "cost_squares",
    "rating_count",
    "star_count",
    "low_rating_count",
)
_TOKENS = (
    "input_token_count",
    "cached_input_token_count",
    "cache_write_token_count",
    "output_token_count",
    "reasoning_token_count",
)
_LATENCY, _FIRST_DELTA = "latency", "first_delta"


def write_outcomes(connection: Connection, outcomes: Sequence[CountedOutcome]) -> int:
    """Add *outcomes* that are new and count them; return how many were."""
    by_identity = {
        (each.outcome.tenant_id, each.outcome.request_id, each.outcome.lane): each
        for each in reversed(outcomes)
    }
    new = connection.execute(
        insert(connection, evaluations)
        .on_conflict_do_nothing()
        .returning(evaluations.c.tenant_id, evaluations.c.request_id, evaluations.c.lane),
        [_row(each) for each in reversed(by_identity.values())],
    ).all()
    sums: dict[TallyKey, Tally] = {}
    for tenant_id, request_id, lane in new:
        counted = by_identity[tenant_id, request_id, lane]
        tally = tally_of(counted.outcome)
        held = sums.get(counted.key)
        sums[counted.key] = tally if held is None else held + tally
    _add(connection, sums)
    return len(new)


def write_rating(connection: Connection, rating: Rating) -> TallyKey | None:
    """Set the rating of a turn; return where it counts, or None if there is no such turn."""
    here = (
        (evaluations.c.tenant_id == rating.tenant_id)
        & (evaluations.c.request_id == rating.request_id)
        & (evaluations.c.lane == "")
    )
    row = connection.execute(
        select(evaluations.c.stars, *(evaluations.c[name] for name in TALLY_KEY))
        .where(here)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return None
    connection.execute(
        update(evaluations).where(here).values(stars=rating.stars, comment=rating.comment)
    )
    key = TallyKey(**{name: getattr(row, name) for name in TALLY_KEY})
    _add(connection, {key: rating_change(row.stars, rating.stars)})
    return key


def read_tallies(connection: Connection, template: str) -> Mapping[TallyKey, Tally]:
    """Return all counts of *template*."""
    errors: dict[TallyKey, dict[str, int]] = {}
    for row in _rows(connection, tally_errors, template):
        errors.setdefault(_key(row), {})[row.reason] = row.count
    times: dict[tuple[TallyKey, str], dict[int, int]] = {}
    for row in _rows(connection, tally_times, template):
        times.setdefault((_key(row), row.kind), {})[row.bucket] = row.count
    found: dict[TallyKey, Tally] = {}
    for row in _rows(connection, tallies, template):
        key = _key(row)
        found[key] = Tally(
            **{name: getattr(row, name) for name in _COUNTS},
            usage=TokenUsage(
                **{name: getattr(row, name) for name in _TOKENS},
                estimated=row.estimated_count > 0,
            ),
            error_counts=errors.get(key, {}),
            latency=LatencySketch(buckets=times.get((key, _LATENCY), {})),
            first_delta_latency=LatencySketch(buckets=times.get((key, _FIRST_DELTA), {})),
        )
    return found


def read_evaluations(
    connection: Connection, chosen: EvaluationFilter, position: int, limit: int
) -> Page[Evaluation]:
    """Return turns in the order in which they were recorded."""
    query = select(evaluations).where(evaluations.c.id > position)
    if chosen.template:
        query = query.where(evaluations.c.template == chosen.template)
    if chosen.tenant_id:
        query = query.where(evaluations.c.tenant_id == chosen.tenant_id)
    if chosen.start_time is not None:
        query = query.where(evaluations.c.end_time_us >= microseconds(chosen.start_time))
    if chosen.end_time is not None:
        query = query.where(evaluations.c.end_time_us < microseconds(chosen.end_time))
    rows = connection.execute(query.order_by(evaluations.c.id).limit(limit + 1)).all()
    last = rows[limit - 1].id if len(rows) > limit else None
    return Page(items=tuple(map(_evaluation, rows[:limit])), next_position=last)


def delete_evaluations(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to *limit* turns that ended before a time; return how many."""
    old = (
        select(evaluations.c.id)
        .where(evaluations.c.end_time_us < microseconds(before))
        .limit(limit)
    )
    return connection.execute(delete(evaluations).where(evaluations.c.id.in_(old))).rowcount


def _add(connection: Connection, sums: Mapping[TallyKey, Tally]) -> None:
    # In one order everywhere, so that two replicas never wait for each other in a circle.
    ordered = sorted(sums.items(), key=lambda each: tuple(asdict(each[0]).values()))
    _upsert(
        connection,
        tallies,
        TALLY_KEY,
        [
            {
                **asdict(key),
                **{name: getattr(tally, name) for name in _COUNTS},
                **{name: getattr(tally.usage, name) for name in _TOKENS},
                "estimated_count": int(tally.usage.estimated),
            }
            for key, tally in ordered
        ],
    )
    _upsert(
        connection,
        tally_errors,
        (*TALLY_KEY, "reason"),
        [
            {**asdict(key), "reason": reason, "count": count}
            for key, tally in ordered
            for reason, count in sorted(tally.error_counts.items())
        ],
    )
    _upsert(
        connection,
        tally_times,
        (*TALLY_KEY, "kind", "bucket"),
        [
            {**asdict(key), "kind": kind, "bucket": bucket, "count": count}
            for key, tally in ordered
            for kind, sketch in (
                (_FIRST_DELTA, tally.first_delta_latency),
                (_LATENCY, tally.latency),
            )
            for bucket, count in sorted(sketch.buckets.items())
        ],
    )


def _upsert(
    connection: Connection, table: Table, key: Sequence[str], rows: list[dict[str, Any]]
) -> None:
    """Add the counts of *rows* to those in *table*."""
    if not rows:
        return
    statement = insert(connection, table)
    sums = {
        column.name: column + statement.excluded[column.name]
        for column in table.c
        if column.name not in key
    }
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=sums), rows)


def _rows(connection: Connection, table: Table, template: str) -> Iterable[Any]:
    return connection.execute(select(table).where(table.c.template == template)).all()


def _key(row: Any) -> TallyKey:
    return TallyKey(**{name: getattr(row, name) for name in TALLY_KEY})


def _row(counted: CountedOutcome) -> dict[str, Any]:
    outcome = counted.outcome
    first = outcome.first_delta_seconds
    return {
        "tenant_id": outcome.tenant_id,
        "request_id": outcome.request_id,
        "lane": outcome.lane,
        "user_id": outcome.user_id,
        "template": outcome.template,
        "version": outcome.version,
        "experiment_id": outcome.experiment_id,
        "arm": outcome.arm,
        "epoch": counted.key.epoch,
        "is_shadow": outcome.is_shadow,
        "model": outcome.model,
        "finish_reason": outcome.finish_reason.value,
        "error_reason": outcome.error_reason,
        "guardrail_blocked": outcome.guardrail_blocked,
        "format_failed": outcome.format_failed,
        "source": outcome.source.value,
        **{name: getattr(outcome.usage, name) for name in _TOKENS},
        "estimated": outcome.usage.estimated,
        "cost_nano_usd": outcome.cost_nano_usd,
        "latency_us": round(outcome.latency_seconds * 1e6),
        "first_delta_us": None if first is None else round(first * 1e6),
        "end_time_us": microseconds(outcome.end_time),
        "stars": 0,
        "comment": "",
    }


def _evaluation(row: Any) -> Evaluation:
    first = row.first_delta_us
    return Evaluation(
        outcome=Outcome(
            request_id=row.request_id,
            tenant_id=row.tenant_id,
            user_id=row.user_id,
            template=row.template,
            version=row.version,
            experiment_id=row.experiment_id,
            arm=row.arm,
            is_shadow=row.is_shadow,
            model=row.model,
            finish_reason=FinishReason(row.finish_reason),
            error_reason=row.error_reason,
            guardrail_blocked=row.guardrail_blocked,
            format_failed=row.format_failed,
            source=AnswerSource(row.source),
            usage=TokenUsage(
                **{name: getattr(row, name) for name in _TOKENS}, estimated=row.estimated
            ),
            cost_nano_usd=row.cost_nano_usd,
            latency_seconds=row.latency_us / 1e6,
            first_delta_seconds=None if first is None else first / 1e6,
            end_time=moment(row.end_time_us),
        ),
        stars=row.stars,
    )
