"""The ledger in a relational database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, bindparam, select

from parley_services.accounting.ledger.turn import TurnKey, TurnState
from parley_services.accounting.ledger.unit_of_work import Command
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.sql import schema
from parley_services.accounting.sql.group_commit import QUEUE_LIMIT, GroupCommit
from parley_services.accounting.sql.ledger_clock import LedgerClock, read
from parley_services.accounting.sql.statements import driver_of
from parley_services.accounting.sql.unit_of_work import SqlUnitOfWork
from parley_services.accounting.subjects import SubjectLevel
from parley_services.accounting.workers.change_notifier import ChangeNotifier
from parley_services.kit.storage.database import Database

T = TypeVar("T")

_EXPIRE_AT_ONCE = 500

_DUE = (
    select(schema.turns.c.tenant_id, schema.turns.c.request_id)
    .where(
        schema.turns.c.state == TurnState.HELD.value,
        schema.turns.c.deadline_ns <= bindparam("monotonic_ns"),
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
    one lock, so a command sees what every other has committed. A command that crashes is run
    again alone, so that it fails alone.
    """

    def __init__(
        self,
        database: Database,
        *,
        defaults: Mapping[SubjectLevel, Limits],
        clock: LedgerClock,
        alert_notifier: ChangeNotifier | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._database = database
        self._clock = clock
        self._alert_notifier = alert_notifier or ChangeNotifier()
        self._unit_of_work = SqlUnitOfWork(defaults=defaults, clock=clock)
        self._commits = GroupCommit(self._commit, queue_limit=queue_limit)

    async def commit(self, command: Command[T]) -> T:
        result: T = await self._commits.commit(command)
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

    def wall_time(self, monotonic_ns: int) -> datetime:
        return self._clock.wall_time(monotonic_ns)

    async def due_turns(self) -> list[TurnKey]:
        """Return running turns whose lease is over, the longest over first, at most 500."""

        def unit(connection: Connection) -> list[TurnKey]:
            present = read(self._clock, driver_of(connection))
            found = connection.execute(_DUE, {"monotonic_ns": present.monotonic_ns})
            return [TurnKey(tenant_id=each[0], request_id=each[1]) for each in found]

        return await self._database.read(unit)

    async def aclose(self) -> None:
        """Commit the commands that wait."""
        await self._commits.aclose()

    async def _commit(self, commands: Sequence[Command[Any]]) -> Sequence[Any]:
        outcome = await self._database.write(
            lambda connection: self._unit_of_work.run(connection, commands)
        )
        self._unit_of_work.committed(outcome)
        if outcome.has_alerted:
            self._alert_notifier.notify()
        return outcome.results
