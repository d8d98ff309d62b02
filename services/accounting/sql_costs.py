"""Reads the ledger from a relational database."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, cast, func, literal, select

from services.accounting import rows, schema
from services.accounting.costs import CostGroup, CostGrouping, CostQuery, CostSummary, EntryQuery
from services.accounting.ledger import Entry, StreamHead
from services.accounting.moment import from_us, to_us
from services.kit.database import Database
from services.kit.prices import TokenUsage

_E = schema.entries.c
_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_PART = 1000
"""Entries that are verified at once."""

_SUMS = (
    func.coalesce(func.sum(_E.turn_count), 0),
    func.coalesce(func.sum(_E.attempt_count), 0),
    func.coalesce(func.sum(_E.cache_hit_count), 0),
    func.coalesce(func.sum(_E.input_token_count), 0),
    func.coalesce(func.sum(_E.cached_input_token_count), 0),
    func.coalesce(func.sum(_E.cache_write_token_count), 0),
    func.coalesce(func.sum(_E.output_token_count), 0),
    func.coalesce(func.sum(_E.reasoning_token_count), 0),
    func.coalesce(func.sum(_E.cost_nano_usd), 0),
    func.coalesce(func.sum(_E.saved_cost_nano_usd), 0),
)
_COLUMNS = {
    CostGrouping.USER: _E.user_id,
    CostGrouping.MODEL: _E.model,
    CostGrouping.TEMPLATE: _E.template,
    CostGrouping.TEAM: _E.team_id,
    CostGrouping.KEY: _E.key_id,
    CostGrouping.TENANT: _E.tenant_id,
}


class SqlCostReader:
    """A `CostReader` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def summary(self, query: CostQuery) -> CostSummary:
        def unit(connection: Connection) -> CostSummary:
            total = connection.execute(_where(select(*_SUMS), query)).one()
            groups: list[CostGroup] = []
            if query.grouping is not CostGrouping.NONE:
                groups = [
                    _group(_name(query.grouping, row[0]), row[1:])
                    for row in connection.execute(_grouped(connection, query))
                ]
            return CostSummary(
                groups=groups[: query.limit],
                total=_group("", total),
                has_more=len(groups) > query.limit,
            )

        return await self._database.read(unit)

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


def _grouped(connection: Connection, query: CostQuery) -> Select[Any]:
    name = _group_column(connection, query).label("name")
    cost = _SUMS[8]
    order = (name,) if query.grouping.is_by_time else (cost.desc(), name)
    statement = select(name, *_SUMS).group_by(name).order_by(*order)
    return _where(statement, query).offset(query.offset).limit(query.limit + 1)


def _group_column(connection: Connection, query: CostQuery) -> ColumnElement[Any]:
    match query.grouping:
        case CostGrouping.HOUR:
            return _E.end_time_us - _E.end_time_us % literal(_HOUR_US)
        case CostGrouping.DAY:
            return _E.end_time_us - _E.end_time_us % literal(_DAY_US)
        case CostGrouping.TAG:
            if connection.dialect.name == "sqlite":
                # Not json_extract: a path has no way to spell a name with a quote.
                tags = func.json_each(_E.tags_json).table_valued("key", "value")
                value: Any = select(tags.c.value).where(tags.c.key == query.tag).scalar_subquery()
            else:
                value = func.json_extract_path_text(cast(_E.tags_json, JSON), query.tag)
            return func.coalesce(value, "")
        case other:
            return _COLUMNS[other]


def _where(statement: Select[Any], query: CostQuery) -> Select[Any]:
    if query.tenant_id:
        statement = statement.where(_E.tenant_id == query.tenant_id)
    if query.start_time is not None:
        statement = statement.where(_E.end_time_us >= to_us(query.start_time))
    if query.end_time is not None:
        statement = statement.where(_E.end_time_us < to_us(query.end_time))
    return statement


def _name(grouping: CostGrouping, value: Any) -> str:
    match grouping:
        case CostGrouping.HOUR:
            return from_us(value).strftime("%Y-%m-%dT%H")
        case CostGrouping.DAY:
            return from_us(value).strftime("%Y-%m-%d")
        case _:
            return str(value)


def _group(name: str, sums: Any) -> CostGroup:
    turns, attempts, hits, read, cached, written, output, reasoning, cost, saved = map(int, sums)
    return CostGroup(
        name=name,
        request_count=turns,
        attempt_count=attempts,
        cache_hit_count=hits,
        usage=TokenUsage(
            input_token_count=read,
            cached_input_token_count=cached,
            cache_write_token_count=written,
            output_token_count=output,
            reasoning_token_count=reasoning,
        ),
        cost_nano_usd=cost,
        saved_cost_nano_usd=saved,
    )
