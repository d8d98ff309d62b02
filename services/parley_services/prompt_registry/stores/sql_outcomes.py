"""Counts of outcomes in a relational database: units of work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Table, select, update

from parley_services.kit.chat.usage import Usage
from parley_services.prompt_registry.experiments.shadow import ShadowTally
from parley_services.prompt_registry.outcomes.outcome import (
    Rating,
    Tally,
    TallyKey,
    rating_change,
    tally_of,
)
from parley_services.prompt_registry.outcomes.sketch import LatencySketch
from parley_services.prompt_registry.stores.prepared import PreparedInsert, Row
from parley_services.prompt_registry.stores.sql_evaluations import write_comment, write_evaluations
from parley_services.prompt_registry.stores.store import CountedOutcome
from parley_services.prompt_registry.stores.tables import (
    TALLY_KEY,
    evaluations,
    tallies,
    tally_errors,
    tally_shadows,
    tally_times,
)

_COUNTS: Final = (
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
_TOKENS: Final = (
    "input_token_count",
    "cached_input_token_count",
    "cache_write_token_count",
    "output_token_count",
    "reasoning_token_count",
)
_SHADOW: Final = tuple(each.name for each in tally_shadows.c if each.name not in TALLY_KEY)
_LATENCY, _FIRST_DELTA = "latency", "first_delta"


def write_outcomes(connection: Connection, outcomes: Sequence[CountedOutcome]) -> int:
    """Add *outcomes* that are new and count them; return how many were."""
    new = write_evaluations(connection, outcomes)
    sums: dict[TallyKey, Tally] = {}
    for each in new:
        tally = tally_of(each.outcome)
        held = sums.get(each.key)
        sums[each.key] = tally if held is None else held + tally
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
        select(
            evaluations.c.stars,
            evaluations.c.end_time_us,
            *(evaluations.c[name] for name in TALLY_KEY),
        )
        .where(here)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return None
    connection.execute(update(evaluations).where(here).values(stars=rating.stars))
    write_comment(connection, rating, end_time_us=row.end_time_us)
    key = _key(row)
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
    shadows = {
        _key(row): ShadowTally(**{name: getattr(row, name) for name in _SHADOW})
        for row in _rows(connection, tally_shadows, template)
    }
    found: dict[TallyKey, Tally] = {}
    for row in _rows(connection, tallies, template):
        key = _key(row)
        found[key] = Tally(
            **{name: getattr(row, name) for name in _COUNTS},
            usage=Usage(
                **{name: getattr(row, name) for name in _TOKENS},
                estimated=row.estimated_count > 0,
            ),
            error_counts=errors.get(key, {}),
            latency=LatencySketch(buckets=times.get((key, _LATENCY), {})),
            first_delta_latency=LatencySketch(buckets=times.get((key, _FIRST_DELTA), {})),
            shadow=shadows.get(key, ShadowTally()),
        )
    return found


def _adding(table: Table, *more_key: str) -> PreparedInsert:
    """Return an insert that adds the counts of a row to those that are there."""
    key = [*TALLY_KEY, *more_key]

    def conflict(statement: Any) -> Any:
        sums = {
            column.name: column + statement.excluded[column.name]
            for column in table.c
            if column.name not in key
        }
        return statement.on_conflict_do_update(index_elements=key, set_=sums)

    return PreparedInsert(table, [each.name for each in table.c], conflict)


_ADD: Final = _adding(tallies)
_ADD_ERRORS: Final = _adding(tally_errors, "reason")
_ADD_TIMES: Final = _adding(tally_times, "kind", "bucket")
_ADD_SHADOWS: Final = _adding(tally_shadows)
_ORDER = attrgetter(*TALLY_KEY)


def _add(connection: Connection, sums: Mapping[TallyKey, Tally]) -> None:
    # In one order everywhere, so that two replicas never wait for each other in a circle.
    ordered = [(asdict(key), sums[key]) for key in sorted(sums, key=_ORDER)]
    _ADD.run(connection, [_counts(key, tally) for key, tally in ordered])
    _ADD_ERRORS.run(
        connection,
        [
            {**key, "reason": reason, "count": count}
            for key, tally in ordered
            for reason, count in sorted(tally.error_counts.items())
        ],
    )
    _ADD_TIMES.run(
        connection,
        [
            {**key, "kind": kind, "bucket": bucket, "count": count}
            for key, tally in ordered
            for kind, sketch in (
                (_FIRST_DELTA, tally.first_delta_latency),
                (_LATENCY, tally.latency),
            )
            for bucket, count in sorted(sketch.buckets.items())
        ],
    )
    _ADD_SHADOWS.run(
        connection,
        [{**key, **asdict(tally.shadow)} for key, tally in ordered if tally.shadow.pair_count],
    )


def _counts(key: Row, tally: Tally) -> Row:
    return {
        **key,
        **{name: getattr(tally, name) for name in _COUNTS},
        **{name: getattr(tally.usage, name) for name in _TOKENS},
        "estimated_count": int(tally.usage.estimated),
    }


def _rows(connection: Connection, table: Table, template: str) -> Iterable[Any]:
    return connection.execute(select(table).where(table.c.template == template)).all()


def _key(row: Any) -> TallyKey:
    return TallyKey(**{name: getattr(row, name) for name in TALLY_KEY})
