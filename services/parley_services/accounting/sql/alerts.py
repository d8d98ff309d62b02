"""Alerts in a relational database, and how far each webhook has got."""

from typing import Any

from sqlalchemy import Connection, Select, select

from parley_services.accounting.limits.alerts import Alert
from parley_services.accounting.sql import rows, schema
from parley_services.kit.storage.database import Database, insert

_A = schema.alerts
_W = schema.webhooks


class SqlAlerts:
    """Reads alerts. Commands write them, in their own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[Alert]:
        """Return alerts, newest first; of one tenant, or with an empty id all."""
        query = select(_A).order_by(_A.c.alert_number.desc()).offset(offset).limit(limit)
        if tenant_id:
            query = query.where(_A.c.tenant_id == tenant_id)
        return await self._read(query)

    async def after(self, number: int, *, tenant_id: str = "", limit: int) -> list[Alert]:
        """Return alerts after *number*, oldest first."""
        query = select(_A).where(_A.c.alert_number > number).order_by(_A.c.alert_number)
        if tenant_id:
            query = query.where(_A.c.tenant_id == tenant_id)
        return await self._read(query.limit(limit))

    async def delivered(self, url: str) -> int:
        """Return the number of the last alert that *url* has taken, 0 if none."""
        query = select(_W.c.alert_number).where(_W.c.url == url)
        return await self._database.read(lambda connection: connection.execute(query).scalar()) or 0

    async def note_delivered(self, url: str, number: int) -> None:
        """Note that *url* has taken all alerts up to *number*."""

        def unit(connection: Connection) -> None:
            statement = insert(connection, _W).on_conflict_do_update(
                index_elements=["url"], set_={"alert_number": number}
            )
            connection.execute(statement, {"url": url, "alert_number": number})

        await self._database.write(unit)

    async def _read(self, query: Select[Any]) -> list[Alert]:
        def unit(connection: Connection) -> list[Alert]:
            return [rows.alert_of(row) for row in connection.execute(query)]

        return await self._database.read(unit)
