"""Reads the ledger from a relational database."""

from collections import defaultdict
from collections.abc import AsyncIterator

from sqlalchemy import Connection, func, select, text

from parley_services.accounting.clock_reader import to_us
from parley_services.accounting.ledger.entry import Entry, StreamHead
from parley_services.accounting.ledger.turn import TurnState
from parley_services.accounting.reports.balances import (
    Balance,
    Hold,
    KeptFigures,
    Opening,
    RolledUp,
)
from parley_services.accounting.reports.costs import (
    CostQuery,
    CostSummary,
    EntryQuery,
)
from parley_services.accounting.reports.rollups import TOTAL, Span
from parley_services.accounting.sql import rows, schema
from parley_services.accounting.sql.summary import summarize
from parley_services.kit.chat.subject import Subject
from parley_services.kit.storage.database import Database

_E = schema.entries.c
_PART = 250
"""Entries that are verified at once; nothing else runs in the process for the few milliseconds
that it takes."""


class SqlCostReader:
    """A `CostReader` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def summary(self, query: CostQuery) -> CostSummary:
        return await self._database.read(lambda connection: summarize(connection, query))

    async def entries(self, query: EntryQuery) -> list[Entry]:
        statement = (
            select(schema.entries)
            .where(_E.tenant_id == query.tenant_id, _E.sequence > query.after_sequence)
            .order_by(_E.sequence)
            .limit(query.limit)
        )
        if query.request_id:
            statement = statement.where(_E.request_id == query.request_id)
        if query.start_time is not None:
            statement = statement.where(_E.create_time_us >= to_us(query.start_time))
        if query.end_time is not None:
            statement = statement.where(_E.create_time_us < to_us(query.end_time))

        def unit(connection: Connection) -> list[Entry]:
            return [rows.entry_of(row) for row in connection.execute(statement)]

        return await self._database.read(unit)

    async def figures(self) -> KeptFigures:
        return await self._database.read(_figures)

    async def stream(self, tenant_id: str) -> AsyncIterator[list[Entry]]:
        after = 0
        while part := await self.entries(
            EntryQuery(tenant_id=tenant_id, after_sequence=after, limit=_PART)
        ):
            yield part
            after = part[-1].sequence


def _figures(connection: Connection) -> KeptFigures:
    if connection.dialect.name == "postgresql":
        # All statements see one moment; on SQLite they do in any case.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    counters, turns = schema.usage_counters.c, schema.turns.c
    held = select(
        turns.tenant_id, turns.team_id, turns.user_id, turns.key_id, turns.amount_nano_usd
    ).where(turns.state == TurnState.HELD.value)
    used = select(
        counters.key_text,
        counters.total_used_nano_usd,
        counters.reserved_nano_usd,
    )
    return KeptFigures(
        heads=_heads(connection),
        balances={
            key_text: Balance(used_nano_usd=total, reserved_nano_usd=reserved)
            for key_text, total, reserved in connection.execute(used)
        },
        holds=[
            Hold(
                subject=Subject(
                    tenant_id=tenant_id, team_id=team_id, user_id=user_id, key_id=key_id
                ),
                amount_nano_usd=amount,
            )
            for tenant_id, team_id, user_id, key_id, amount in connection.execute(held)
        ],
        rolled_up=_rolled_up(connection),
        openings=_openings(connection),
    )


def _openings(connection: Connection) -> dict[str, Opening]:
    used: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for tenant_id, key_text, amount in connection.execute(select(schema.checkpoint_balances)):
        used[tenant_id][key_text] = amount
    return {
        row.tenant_id: Opening(
            sequence=row.sequence,
            row_hash=row.row_hash,
            cost_nano_usd=row.cost_nano_usd,
            used=used[row.tenant_id],
        )
        for row in connection.execute(select(schema.checkpoints))
    }


def _heads(connection: Connection) -> list[StreamHead]:
    heads = {
        row.tenant_id: StreamHead(
            tenant_id=row.tenant_id, sequence=row.sequence, row_hash=row.row_hash
        )
        for row in connection.execute(select(schema.streams))
    }
    # A stream whose head is gone is checked as well: against an empty one.
    for tenant_id in connection.execute(select(_E.tenant_id).distinct()).scalars():
        heads.setdefault(tenant_id, StreamHead(tenant_id=tenant_id))
    return [heads[tenant_id] for tenant_id in sorted(heads)]


def _rolled_up(connection: Connection) -> dict[str, RolledUp]:
    rollups, positions = schema.rollups.c, schema.rollup_positions
    costs = (
        select(rollups.tenant_id, func.sum(rollups.cost_nano_usd))
        .where(
            rollups.dimension == TOTAL,
            rollups.tag == "",
            rollups.level == int(Span.DAYS_512),
        )
        .group_by(rollups.tenant_id)
    )
    cost_of = {tenant_id: int(cost) for tenant_id, cost in connection.execute(costs)}
    return {
        tenant_id: RolledUp(sequence=sequence, cost_nano_usd=cost_of.get(tenant_id, 0))
        for tenant_id, sequence in connection.execute(select(positions))
    }
