"""The books in a relational database."""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, bindparam, func, select, text

from services.accounting import rows, schema
from services.accounting.allowances import Limits
from services.accounting.books import Books, LengthKey, Needs, Step
from services.accounting.ledger import Entry, StreamHead
from services.accounting.lengths import OutputLength
from services.accounting.moment import Moment
from services.accounting.subjects import SubjectLevel, defaults_of, keys_of
from services.accounting.turns import Turn, TurnKey, TurnState
from services.accounting.watching import Bell
from services.kit.database import Database, insert
from services.kit.errors import Overloaded, ServiceError

T = TypeVar("T")

_GROUP_LIMIT = 256
"""Steps in one transaction."""

_QUEUE_LIMIT = 20_000
_EXPIRE_AT_ONCE = 500
_LOCK_KEY = 0x7061726C6579
"""The advisory lock of the books on PostgreSQL: "parley" in ASCII. On SQLite the write lock
of the file does the same."""

_METERS = select(schema.meters).where(
    schema.meters.c.key_text.in_(bindparam("keys", expanding=True))
)
_LIMITS = select(schema.allowances.c.key_text, schema.allowances.c.limits_json).where(
    schema.allowances.c.key_text.in_(bindparam("keys", expanding=True))
)
_TURNS = select(schema.turns).where(schema.turns.c.turn_key.in_(bindparam("keys", expanding=True)))
_TURNS_OF = select(schema.turns).where(
    schema.turns.c.reservation_id.in_(bindparam("ids", expanding=True))
)
_HEADS = select(schema.streams).where(
    schema.streams.c.tenant_id.in_(bindparam("tenants", expanding=True))
)
_LENGTHS = select(schema.output_lengths).where(
    schema.output_lengths.c.tenant_id.in_(bindparam("tenants", expanding=True)),
    schema.output_lengths.c.template.in_(bindparam("templates", expanding=True)),
)
_DUE = (
    select(schema.turns.c.tenant_id, schema.turns.c.request_id)
    .where(
        schema.turns.c.state == TurnState.HELD.value,
        schema.turns.c.deadline_ns <= bindparam("steady_ns"),
    )
    .order_by(schema.turns.c.deadline_ns)
    .limit(_EXPIRE_AT_ONCE)
)


@dataclass(slots=True)
class _Waiting:
    step: Step[Any]
    future: asyncio.Future[Any]

    def end(self, result: object) -> None:
        """Give whoever waits the result, or raise it there if it is an exception."""
        if self.future.done():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class SqlLedgerStore:
    """
    A `LedgerStore` on SQLite or PostgreSQL.

    Steps that come while a transaction runs wait and share the next one. All replicas take
    one lock, so a step sees what every other has committed. A step that crashes is run
    again alone, so that it fails alone.
    """

    def __init__(
        self,
        database: Database,
        *,
        defaults: Mapping[SubjectLevel, Limits],
        alert_bell: Bell | None = None,
        queue_limit: int = _QUEUE_LIMIT,
    ) -> None:
        self._database = database
        self._alert_bell = alert_bell or Bell()
        self._defaults = defaults
        self._queue_limit = queue_limit
        self._waiting: deque[_Waiting] = deque()
        self._running: asyncio.Task[None] | None = None

    async def commit(self, step: Step[T]) -> T:
        if len(self._waiting) >= self._queue_limit:
            raise Overloaded(
                "Too many bookings wait for the database: try again soon.",
                retry_after_seconds=0.5,
            )
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(step, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def due_turns(self, moment: Moment) -> list[TurnKey]:
        """Return running turns whose lease is over, the longest over first, at most 500."""

        def unit(connection: Connection) -> list[TurnKey]:
            found = connection.execute(_DUE, {"steady_ns": moment.steady_ns})
            return [TurnKey(tenant_id=each[0], request_id=each[1]) for each in found]

        return await self._database.read(unit)

    async def aclose(self) -> None:
        """Commit the steps that wait."""
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), _GROUP_LIMIT)
                await self._commit([self._waiting.popleft() for _ in range(count)])
        finally:
            self._running = None

    async def _commit(self, group: list[_Waiting]) -> None:
        steps = [each.step for each in group]
        try:
            results, has_alerted = await self._database.write(
                lambda connection: _run_steps(connection, steps, self._defaults)
            )
            if has_alerted:
                self._alert_bell.ring()
        except ServiceError as error:
            results = [error] * len(group)
        except Exception as error:
            if len(group) > 1:
                for each in group:
                    await self._commit([each])
                return
            results = [error]
        for each, result in zip(group, results, strict=True):
            _answer(each.future, result)


def _answer(future: asyncio.Future[Any], result: Any) -> None:
    # The caller may have left; the step is committed nevertheless.
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _run_steps(
    connection: Connection, steps: Sequence[Step[Any]], defaults: Mapping[SubjectLevel, Limits]
) -> tuple[list[Any], bool]:
    """Run *steps* in one transaction; return what came of each, and whether any alerted."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    books = _read(connection, [step.needs for step in steps], defaults)
    results: list[Any] = []
    for step in steps:
        try:
            results.append(step.run(books))
        except ServiceError as refusal:
            results.append(refusal)
    _write(connection, books)
    return results, bool(books.new_alerts)


def _read(
    connection: Connection, needs: Sequence[Needs], defaults: Mapping[SubjectLevel, Limits]
) -> Books:
    turns = _read_turns(connection, needs)
    subjects = {turn.subject for turn in turns.values()}
    subjects |= {need.subject for need in needs if need.subject is not None}
    keys = {key.text: key for subject in subjects for key in keys_of(subject)}
    texts = set(keys)
    meters = {
        row.key_text: rows.meter_of(row)
        for row in connection.execute(_METERS, {"keys": list(texts)})
    }
    texts |= {default.text for key in keys.values() for default in defaults_of(key)}
    limits = {
        key_text: rows.limits_of(limits_json)
        for key_text, limits_json in connection.execute(_LIMITS, {"keys": list(texts)})
    }
    tenants = {subject.tenant_id for subject in subjects}
    heads = {
        row.tenant_id: StreamHead(
            tenant_id=row.tenant_id, sequence=row.sequence, row_hash=row.row_hash
        )
        for row in connection.execute(_HEADS, {"tenants": list(tenants)})
    }
    return Books(
        meters=meters,
        limits=limits,
        defaults=defaults,
        turns=turns,
        heads=heads,
        lengths=_read_lengths(connection, needs),
    )


def _read_turns(connection: Connection, needs: Sequence[Needs]) -> dict[TurnKey, Turn]:
    found: list[Any] = []
    if texts := [need.turn.text for need in needs if need.turn is not None]:
        found += connection.execute(_TURNS, {"keys": texts})
    if ids := [need.reservation_id for need in needs if need.reservation_id]:
        found += connection.execute(_TURNS_OF, {"ids": ids})
    turns = (rows.turn_of(row) for row in found)
    return {turn.key: turn for turn in turns}


def _read_lengths(connection: Connection, needs: Sequence[Needs]) -> dict[LengthKey, OutputLength]:
    wanted = {need.length for need in needs if need.length is not None}
    if not wanted:
        return {}
    found = connection.execute(
        _LENGTHS,
        {
            "tenants": list({tenant for tenant, _ in wanted}),
            "templates": list({template for _, template in wanted}),
        },
    )
    return {
        (row.tenant_id, row.template): OutputLength(
            token_count=row.token_count, sample_count=row.sample_count
        )
        for row in found
    }


def _write(connection: Connection, books: Books) -> None:
    _upsert(connection, schema.meters, map(rows.meter_values, books.changed_meters.values()))
    _upsert(connection, schema.turns, map(rows.turn_values, books.changed_turns.values()))
    _upsert(
        connection,
        schema.output_lengths,
        (
            {
                "tenant_id": tenant_id,
                "template": template,
                "token_count": length.token_count,
                "sample_count": length.sample_count,
            }
            for (tenant_id, template), length in books.changed_lengths.items()
        ),
    )
    _upsert(
        connection,
        schema.streams,
        (
            {"tenant_id": each.tenant_id, "sequence": each.sequence, "row_hash": each.row_hash}
            for each in books.changed_heads.values()
        ),
    )
    _append_entries(connection, books.new_entries)
    if books.new_alerts:
        last = connection.execute(select(func.max(schema.alerts.c.alert_number))).scalar() or 0
        numbered = (
            replace(alert, alert_number=number)
            for number, alert in enumerate(books.new_alerts, last + 1)
        )
        connection.execute(schema.alerts.insert(), [rows.alert_values(each) for each in numbered])


def _append_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    if entries:
        connection.execute(schema.entries.insert(), [rows.entry_values(entry) for entry in entries])


def _upsert(connection: Connection, table: Table, values: Iterable[rows.Values]) -> None:
    listed = list(values)
    if listed:
        connection.execute(_upsert_statement(connection, table), listed)


_upserts: dict[tuple[str, str], Any] = {}


def _upsert_statement(connection: Connection, table: Table) -> Any:
    key = (connection.dialect.name, table.name)
    statement = _upserts.get(key)
    if statement is None:
        fresh = insert(connection, table)
        identity = [column.name for column in table.primary_key]
        changed = {
            column.name: fresh.excluded[column.name]
            for column in table.columns
            if column.name not in identity
        }
        statement = _upserts[key] = fresh.on_conflict_do_update(
            index_elements=identity, set_=changed
        )
    return statement
