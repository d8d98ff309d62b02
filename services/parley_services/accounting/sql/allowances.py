"""Allowances and what is used of them, in a relational database."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from parley_services.accounting.limits.allowances import Allowance
from parley_services.accounting.limits.used_allowance import UsedAllowance
from parley_services.accounting.sql import rows, schema
from parley_services.accounting.subjects import SubjectKey
from parley_services.kit.storage.database import Database, insert

_A = schema.allowances


_NEXT_VERSION = schema.ledger_version.update().values(version=schema.ledger_version.c.version + 1)
"""Tells every process that the limits it remembers may not hold any more."""


class SqlAllowances:
    """Sets, removes and lists allowances. A change holds from the next reservation on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, allowance: Allowance) -> UsedAllowance:
        """Set an allowance in place of the one before."""
        values = {
            "key_text": allowance.key.text,
            "level": allowance.key.level.key,
            "tenant_id": allowance.key.tenant_id,
            "subject_id": allowance.key.subject_id,
            "limits_json": rows.limits_json(allowance.limits),
        }

        def unit(connection: Connection) -> UsedAllowance:
            statement = insert(connection, _A).on_conflict_do_update(
                index_elements=["key_text"], set_={"limits_json": values["limits_json"]}
            )
            connection.execute(statement, values)
            connection.execute(_NEXT_VERSION)
            return _used(connection, [allowance])[0]

        return await self._database.write(unit)

    async def delete(self, key: SubjectKey) -> bool:
        """Remove an allowance; say whether there was one."""

        def unit(connection: Connection) -> bool:
            connection.execute(_NEXT_VERSION)
            done = connection.execute(_A.delete().where(_A.c.key_text == key.text))
            return done.rowcount > 0

        return await self._database.write(unit)

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[UsedAllowance]:
        """Return allowances by subject; of one tenant, or with an empty id of all."""
        query = select(_A).order_by(_A.c.key_text).offset(offset).limit(limit)
        if tenant_id:
            query = query.where(_A.c.tenant_id == tenant_id)

        def unit(connection: Connection) -> list[UsedAllowance]:
            found = [
                Allowance(key=rows.key_of(row), limits=rows.limits_of(row.limits_json))
                for row in connection.execute(query)
            ]
            return _used(connection, found)

        return await self._database.read(unit)

    async def limits_set(self, keys: Sequence[SubjectKey]) -> dict[SubjectKey, Allowance]:
        """Return the allowances among *keys* that were set."""
        query = select(_A).where(_A.c.key_text.in_([key.text for key in keys]))

        def unit(connection: Connection) -> dict[SubjectKey, Allowance]:
            return {
                rows.key_of(row): Allowance(
                    key=rows.key_of(row), limits=rows.limits_of(row.limits_json)
                )
                for row in connection.execute(query)
            }

        return await self._database.read(unit)


def _used(connection: Connection, allowances: Sequence[Allowance]) -> list[UsedAllowance]:
    texts = [each.key.text for each in allowances]
    query = select(schema.usage_counters).where(schema.usage_counters.c.key_text.in_(texts))
    counters = {row.key_text: rows.usage_counter_of(row) for row in connection.execute(query)}
    return [
        UsedAllowance(allowance=each, counter=counters.get(each.key.text)) for each in allowances
    ]
