"""The evaluation log in a relational database: units of work."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, or_, select, tuple_, update

from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.usage import Usage
from parley_services.kit.storage.database import insert
from parley_services.prompt_registry.experiments.shadow import ShadowComparison
from parley_services.prompt_registry.outcomes.outcome import (
    Evaluation,
    Outcome,
    Rating,
    TurnTexts,
)
from parley_services.prompt_registry.stores.prepared import PreparedInsert, Row
from parley_services.prompt_registry.stores.store import CountedOutcome, EvaluationFilter, Page
from parley_services.prompt_registry.stores.tables import (
    TURN_KEY,
    evaluations,
    microseconds,
    moment,
    shadow_comparisons,
    turn_texts,
)

_TOKENS: Final = (
    "input_token_count",
    "cached_input_token_count",
    "cache_write_token_count",
    "output_token_count",
    "reasoning_token_count",
)


def _keeping(table: Table, *without: str) -> PreparedInsert:
    """Return an insert that leaves a row as it is that is there already."""
    names = [each.name for each in table.c if each.name not in without]
    return PreparedInsert(table, names, lambda statement: statement.on_conflict_do_nothing())


_INSERT: Final = _keeping(evaluations, "id")
_INSERT_COMPARISONS: Final = _keeping(shadow_comparisons)
_INSERT_TEXTS: Final = _keeping(turn_texts)


def write_evaluations(
    connection: Connection, outcomes: Sequence[CountedOutcome]
) -> list[CountedOutcome]:
    """Add *outcomes* to the log; return those that were not there before."""
    by_identity = {_identity(each): each for each in reversed(outcomes)}
    rows = [_row(each) for each in reversed(by_identity.values())]
    added = _INSERT.new(connection, rows, TURN_KEY)
    new = [by_identity[row["tenant_id"], row["request_id"], row["lane"]] for row in added]
    _INSERT_COMPARISONS.run(
        connection,
        [
            {**_turn(each), **_comparison_values(each.outcome.comparison)}
            for each in new
            if each.outcome.comparison is not None
        ],
    )
    _INSERT_TEXTS.run(
        connection,
        [
            {
                **_turn(each),
                "input_text": each.texts.input_text,
                "output_text": each.texts.output_text,
                "comment": "",
            }
            for each in new
            if each.texts is not None
        ],
    )
    return new


def write_comment(connection: Connection, rating: Rating, *, end_time_us: int) -> None:
    """Set the comment on a turn, in place of an earlier one; an empty one leaves none."""
    turn = {"tenant_id": rating.tenant_id, "request_id": rating.request_id, "lane": ""}
    if not rating.comment:
        here = _is_turn(turn_texts, [(rating.tenant_id, rating.request_id, "")])
        connection.execute(update(turn_texts).where(here).values(comment=""))
        return
    connection.execute(
        insert(connection, turn_texts)
        .values(
            **turn, input_text="", output_text="", comment=rating.comment, end_time_us=end_time_us
        )
        .on_conflict_do_update(index_elements=TURN_KEY, set_={"comment": rating.comment})
    )


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
    rows = rows[:limit]
    shadows = [_key_of(row) for row in rows if row.is_shadow]
    compared = _by_turn(connection, shadow_comparisons, shadows)
    texts = (
        _by_turn(connection, turn_texts, [_key_of(row) for row in rows])
        if chosen.include_texts
        else {}
    )
    items = [_evaluation(row, compared.get(_key_of(row)), texts.get(_key_of(row))) for row in rows]
    return Page(items=tuple(items), next_position=last)


def delete_evaluations(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to *limit* turns that ended before a time, with all of them; return how many."""
    old = connection.execute(
        select(evaluations.c.id, *(evaluations.c[name] for name in TURN_KEY))
        .where(evaluations.c.end_time_us < microseconds(before))
        .limit(limit)
    ).all()
    turns = [_key_of(row) for row in old]
    for table in (shadow_comparisons, turn_texts):
        for some in _chunks(turns):
            connection.execute(delete(table).where(_is_turn(table, some)))
    gone = evaluations.c.id.in_([row.id for row in old])
    return connection.execute(delete(evaluations).where(gone)).rowcount


def delete_texts(
    connection: Connection, before: datetime, tenants: Collection[str] | None, limit: int
) -> int:
    """Delete up to *limit* texts that are old, or of tenants not in *tenants*; return how many."""
    unwanted: list[ColumnElement[bool]] = [turn_texts.c.end_time_us < microseconds(before)]
    if tenants is not None:
        unwanted.append(turn_texts.c.tenant_id.not_in(sorted(tenants)))
    columns = [turn_texts.c[name] for name in TURN_KEY]
    found = connection.execute(select(*columns).where(or_(*unwanted)).limit(limit)).all()
    for some in _chunks([_key_of(row) for row in found]):
        connection.execute(delete(turn_texts).where(_is_turn(turn_texts, some)))
    return len(found)


_TURNS_AT_ONCE = 200
"""Turns that one statement names: SQLite allows 32,766 values, PostgreSQL as many."""

_Turn = tuple[str, str, str]


def _chunks(turns: Sequence[_Turn]) -> list[Sequence[_Turn]]:
    return [turns[at : at + _TURNS_AT_ONCE] for at in range(0, len(turns), _TURNS_AT_ONCE)]


def _is_turn(table: Table, turns: Sequence[_Turn]) -> ColumnElement[bool]:
    return and_(tuple_(*(table.c[name] for name in TURN_KEY)).in_(turns))


def _by_turn(connection: Connection, table: Table, turns: Sequence[_Turn]) -> dict[_Turn, Any]:
    return {
        _key_of(row): row
        for some in _chunks(turns)
        for row in connection.execute(select(table).where(_is_turn(table, some)))
    }


def _key_of(row: Any) -> _Turn:
    return (row.tenant_id, row.request_id, row.lane)


def _identity(each: CountedOutcome) -> _Turn:
    return (each.outcome.tenant_id, each.outcome.request_id, each.outcome.lane)


def _turn(each: CountedOutcome) -> Row:
    return {
        **dict(zip(TURN_KEY, _identity(each), strict=True)),
        "end_time_us": microseconds(each.outcome.end_time),
    }


def _comparison_values(comparison: ShadowComparison) -> Row:
    return {
        "length_ratio": comparison.length_ratio,
        "similarity": comparison.similarity,
        "answer_format_valid": comparison.answer_format_valid,
        "shadow_format_valid": comparison.shadow_format_valid,
        "answer_latency_us": round(comparison.answer_latency_seconds * 1e6),
        "answer_cost_nano_usd": comparison.answer_cost_nano_usd,
    }


def _row(counted: CountedOutcome) -> Row:
    outcome = counted.outcome
    usage = outcome.usage
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
        "finish_reason": outcome.finish_reason.key,
        "error_reason": outcome.error_reason,
        "guardrail_blocked": outcome.guardrail_blocked,
        "format_failed": outcome.format_failed,
        "source": outcome.source.key,
        "input_token_count": usage.input_token_count,
        "cached_input_token_count": usage.cached_input_token_count,
        "cache_write_token_count": usage.cache_write_token_count,
        "output_token_count": usage.output_token_count,
        "reasoning_token_count": usage.reasoning_token_count,
        "estimated": usage.estimated,
        "cost_nano_usd": outcome.cost_nano_usd,
        "latency_us": round(outcome.latency_seconds * 1e6),
        "first_delta_us": None if first is None else round(first * 1e6),
        "end_time_us": microseconds(outcome.end_time),
        "stars": 0,
    }


def _evaluation(row: Any, compared: Any, texts: Any) -> Evaluation:
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
            finish_reason=FinishReason.from_key(row.finish_reason),
            error_reason=row.error_reason,
            guardrail_blocked=row.guardrail_blocked,
            format_failed=row.format_failed,
            source=AnswerSource.from_key(row.source),
            usage=Usage(**{name: getattr(row, name) for name in _TOKENS}, estimated=row.estimated),
            cost_nano_usd=row.cost_nano_usd,
            latency_seconds=row.latency_us / 1e6,
            first_delta_seconds=None if first is None else first / 1e6,
            end_time=moment(row.end_time_us),
            comparison=None if compared is None else _comparison(compared),
        ),
        stars=row.stars,
        comment="" if texts is None else texts.comment,
        texts=_texts(texts),
    )


def _texts(row: Any) -> TurnTexts | None:
    # A row may hold a comment alone.
    if row is None or not (row.input_text or row.output_text):
        return None
    return TurnTexts(input_text=row.input_text, output_text=row.output_text)


def _comparison(row: Any) -> ShadowComparison:
    return ShadowComparison(
        length_ratio=row.length_ratio,
        similarity=row.similarity,
        answer_format_valid=row.answer_format_valid,
        shadow_format_valid=row.shadow_format_valid,
        answer_latency_seconds=row.answer_latency_us / 1e6,
        answer_cost_nano_usd=row.answer_cost_nano_usd,
    )
