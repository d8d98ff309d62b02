"""The books in a relational database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, bindparam, select

from parley_services.accounting.clock_reader import Moment
from parley_services.accounting.ledger.turn import TurnKey, TurnState
from parley_services.accounting.ledger.unit_of_work import Step
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.sql import schema
from parley_services.accounting.sql.group_commit import QUEUE_LIMIT, GroupCommit
from parley_services.accounting.sql.unit_of_work import SqlBooks
from parley_services.accounting.subjects import SubjectLevel
from parley_services.accounting.workers.change_notifier import Bell
from parley_services.kit.storage.database import Database

T = TypeVar("T")

_EXPIRE_AT_ONCE = 500

_DUE = (
    select(schema.turns.c.tenant_id, schema.turns.c.request_id)
    .where(
        schema.turns.c.state == TurnState.HELD.value,
        schema.turns.c.deadline_ns <= bindparam("steady_ns"),
    )
    .order_by(schema.turns.c.deadline_ns)
    .limit(_EXPIRE_AT_ONCE)
)

_BOOKED = select(
    schema.turns.c.tenant_id,
    schema.turns.c.request_id,
    schema.turns.c.booked_attempts_json,
).where(schema.turns.c.turn_key.in_(bindparam("turn_keys", expanding=True)))


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
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._database = database
        self._alert_bell = alert_bell or Bell()
        self._books = SqlBooks(defaults=defaults)
        self._commits = GroupCommit(self._commit, queue_limit=queue_limit)

    async def commit(self, step: Step[T]) -> T:
        result: T = await self._commits.commit(step)
        return result

    async def booked_attempts(self, keys: Collection[TurnKey]) -> Mapping[TurnKey, tuple[int, ...]]:
        """Return the numbers of the attempts that are booked, of the turns that are known."""

        def unit(connection: Connection) -> dict[TurnKey, tuple[int, ...]]:
            found = connection.execute(_BOOKED, {"turn_keys": [key.text for key in keys]})
            return {
                TurnKey(tenant_id=each[0], request_id=each[1]): tuple(orjson.loads(each[2]))
                for each in found
            }

        return await self._database.read(unit)

    async def due_turns(self, moment: Moment) -> list[TurnKey]:
        """Return running turns whose lease is over, the longest over first, at most 500."""

        def unit(connection: Connection) -> list[TurnKey]:
            found = connection.execute(_DUE, {"steady_ns": moment.steady_ns})
            return [TurnKey(tenant_id=each[0], request_id=each[1]) for each in found]

        return await self._database.read(unit)

    async def aclose(self) -> None:
        """Commit the steps that wait."""
        await self._commits.aclose()

    async def _commit(self, steps: Sequence[Step[Any]]) -> Sequence[Any]:
        outcome = await self._database.write(lambda connection: self._books.run(connection, steps))
        self._books.committed(outcome)
        if outcome.has_alerted:
            self._alert_bell.ring()
        return outcome.results
