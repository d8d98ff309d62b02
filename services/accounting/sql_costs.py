"""Reads the ledger from a relational database."""

from collections.abc import AsyncIterator

from sqlalchemy import Connection, select

from services.accounting import rows, schema
from services.accounting.costs import CostQuery, CostSummary, EntryQuery
from services.accounting.ledger import Entry, StreamHead
from services.accounting.moment import to_us
from services.accounting.sql_summary import summarize
from services.kit.database import Database

_E = schema.entries.c
_PART = 1000
"""Entries that are verified at once."""


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

    async def heads(self) -> list[StreamHead]:
        def unit(connection: Connection) -> list[StreamHead]:
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

        return await self._database.read(unit)

    async def stream(self, tenant_id: str) -> AsyncIterator[list[Entry]]:
        after = 0
        while part := await self.entries(
            EntryQuery(tenant_id=tenant_id, after_sequence=after, limit=_PART)
        ):
            yield part
            after = part[-1].sequence
