"""Keys in a relational database."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, func, or_, select, text

from parley_services.accounting.clock_reader import from_us, to_us
from parley_services.accounting.keys.keys import Key, KeyScope, StoredKey
from parley_services.accounting.sql import schema
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import NotFound
from parley_services.kit.storage.database import Database

_KEYS = schema.keys
_LOCK_KEY = 0x6B657973
"""The advisory lock of the keys on PostgreSQL: "keys" in ASCII. Keys change seldom; the lock
keeps the numbers of their changes without gaps and in the order of the commits."""


class SqlKeyRepository:
    """A `KeyRepository` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digest: bytes) -> StoredKey | None:
        query = select(_KEYS).where(
            or_(_KEYS.c.secret_sha256 == digest, _KEYS.c.old_secret_sha256 == digest)
        )
        found = await self._database.read(lambda connection: connection.execute(query).first())
        return None if found is None else _stored_of(found)

    async def tenant_of(self, key_id: str) -> str:
        query = select(_KEYS.c.tenant_id).where(_KEYS.c.key_id == key_id)
        found = await self._database.read(lambda connection: connection.execute(query).scalar())
        if found is None:
            raise _unknown(key_id)
        return str(found)

    async def add(self, stored: StoredKey) -> None:
        def unit(connection: Connection) -> None:
            _lock(connection)
            connection.execute(_KEYS.insert(), _values(stored))

        await self._database.write(unit)

    async def add_first(self, stored: StoredKey) -> bool:
        def unit(connection: Connection) -> bool:
            _lock(connection)
            if connection.execute(select(_KEYS.c.key_id).limit(1)).first() is not None:
                return False
            connection.execute(_KEYS.insert(), _values(stored))
            return True

        return await self._database.write(unit)

    async def change(self, key_id: str, change: Callable[[StoredKey], StoredKey]) -> StoredKey:
        def unit(connection: Connection) -> StoredKey:
            _lock(connection)
            row = connection.execute(select(_KEYS).where(_KEYS.c.key_id == key_id)).first()
            if row is None:
                raise _unknown(key_id)
            changed = change(_stored_of(row))
            connection.execute(_KEYS.update().where(_KEYS.c.key_id == key_id), _values(changed))
            number = select(func.max(schema.key_changes.c.change_number))
            last = connection.execute(number).scalar() or 0
            connection.execute(
                schema.key_changes.insert(), {"change_number": last + 1, "key_id": key_id}
            )
            return changed

        return await self._database.write(unit)

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[Key]:
        query = (
            select(_KEYS)
            .where(_KEYS.c.tenant_id == tenant_id)
            .order_by(_KEYS.c.create_time_us.desc(), _KEYS.c.key_id)
            .offset(offset)
            .limit(limit)
        )
        found = await self._database.read(lambda connection: list(connection.execute(query)))
        return [_stored_of(row).key for row in found]

    async def last_change(self) -> int:
        """Return the number of the newest change, 0 if there was none."""
        query = select(func.max(schema.key_changes.c.change_number))
        return await self._database.read(lambda connection: connection.execute(query).scalar()) or 0

    async def changes_after(self, number: int, limit: int) -> list[tuple[int, str]]:
        """Return the changes after *number*, oldest first: their numbers and key ids."""
        changes = schema.key_changes
        query = (
            select(changes.c.change_number, changes.c.key_id)
            .where(changes.c.change_number > number)
            .order_by(changes.c.change_number)
            .limit(limit)
        )

        def unit(connection: Connection) -> list[tuple[int, str]]:
            return [(row[0], row[1]) for row in connection.execute(query)]

        return await self._database.read(unit)


def _unknown(key_id: str) -> NotFound:
    return NotFound(
        "There is no such key: list the keys of the tenant.",
        resource_type="key",
        resource_name=key_id,
    )


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})


def _stored_of(row: Row[Any]) -> StoredKey:
    return StoredKey(
        key=Key(
            key_id=row.key_id,
            prefix=row.prefix,
            subject=Subject(
                tenant_id=row.tenant_id,
                team_id=row.team_id,
                user_id=row.user_id,
                key_id=row.key_id,
            ),
            scopes=frozenset(KeyScope.from_key(each) for each in orjson.loads(row.scopes_json)),
            may_act_for_users=row.may_act_for_users,
            display_name=row.display_name,
            create_time=from_us(row.create_time_us),
            expire_time=_optional_time(row.expire_time_us),
            revoke_time=_optional_time(row.revoke_time_us),
        ),
        secret_sha256=row.secret_sha256,
        old_secret_sha256=row.old_secret_sha256,
        old_secret_expire_time=_optional_time(row.old_secret_expire_time_us),
    )


def _values(stored: StoredKey) -> dict[str, Any]:
    key = stored.key
    return {
        "key_id": key.key_id,
        "prefix": key.prefix,
        "secret_sha256": stored.secret_sha256,
        "old_secret_sha256": stored.old_secret_sha256,
        "old_secret_expire_time_us": _optional_us(stored.old_secret_expire_time),
        "tenant_id": key.subject.tenant_id,
        "team_id": key.subject.team_id,
        "user_id": key.subject.user_id,
        "scopes_json": orjson.dumps([each.key for each in sorted(key.scopes)]).decode(),
        "may_act_for_users": key.may_act_for_users,
        "display_name": key.display_name,
        "create_time_us": to_us(key.create_time),
        "expire_time_us": _optional_us(key.expire_time),
        "revoke_time_us": _optional_us(key.revoke_time),
    }


def _optional_time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_us(microseconds)


def _optional_us(time: datetime | None) -> int | None:
    return None if time is None else to_us(time)
