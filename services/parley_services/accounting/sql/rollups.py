"""Sums of the ledger in a relational database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from parley_services.accounting.reports.rollups import SUMS, RollupKey, Spent, Sums, roll_up
from parley_services.accounting.sql import rows, schema
from parley_services.accounting.sql.statements import Statement, driver_of, upsert_into
from parley_services.kit.storage.database import Database, insert

_AT_ONCE = 500
"""Entries in one transaction; bookings wait some ten milliseconds for it on SQLite."""

_LOCK_KEY = 0x726F6C6C
"""The advisory lock of rolling up on PostgreSQL: "roll" in ASCII."""

_E = schema.entries.c
_P = schema.rollup_positions.c

_NEXT = (
    select(schema.streams.c.tenant_id, func.coalesce(_P.sequence, 0))
    .select_from(
        schema.streams.outerjoin(
            schema.rollup_positions, _P.tenant_id == schema.streams.c.tenant_id
        )
    )
    .where(schema.streams.c.sequence > func.coalesce(_P.sequence, 0))
    .limit(1)
)
_NAMES = (_E.user_id, _E.model, _E.template, _E.team_id, _E.key_id, _E.tags_json, _E.end_time_us)


def _adding() -> Statement:
    replacing = upsert_into(schema.rollups).sqlite
    inserting, _, _ = replacing.partition(" DO UPDATE SET ")
    added = ", ".join(f"{name} = rollups.{name} + excluded.{name}" for name in SUMS)
    return Statement.of(f"{inserting} DO UPDATE SET {added}")


_ADD = _adding()


class SqlRollups:
    """A `RollupStore` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def roll_up_next(self) -> int:
        return await self._database.write(_roll_up_next)


def _roll_up_next(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    stream = connection.execute(_NEXT).first()
    if stream is None:
        return 0
    tenant_id, position = stream
    query = (
        select(_E.sequence, *_NAMES, *(_E[name] for name in SUMS))
        .where(_E.tenant_id == tenant_id, _E.sequence > position)
        .order_by(_E.sequence)
        .limit(_AT_ONCE)
    )
    found = connection.execute(query).all()
    if not found:
        return 0
    add_sums(connection, roll_up(_spent(tenant_id, row) for row in found))
    statement = insert(connection, schema.rollup_positions).on_conflict_do_update(
        index_elements=["tenant_id"], set_={"sequence": found[-1][0]}
    )
    connection.execute(statement, {"tenant_id": tenant_id, "sequence": found[-1][0]})
    return len(found)


def add_sums(connection: Connection, sums: dict[RollupKey, Sums]) -> None:
    """Add *sums* to those that are kept."""
    driver_of(connection).write(_ADD, [(*key, *each) for key, each in sums.items()])


def _spent(tenant_id: str, row: Sequence[Any]) -> Spent:
    _, user_id, model, template, team_id, key_id, tags_json, end_time_us, *sums = row
    return Spent(
        tenant_id=tenant_id,
        user_id=user_id,
        model=model,
        template=template,
        team_id=team_id,
        key_id=key_id,
        tags=rows.tags_of(tags_json),
        end_time_us=end_time_us,
        sums=tuple(sums),
    )
