"""
Brings a database to the schema that a service needs, by Alembic.

A service keeps its revisions in its `migrations/`; the environment that runs
them is here, once. All revisions that are due run in one transaction, under a lock: on
SQLite the write lock of the file, on PostgreSQL an advisory lock. So of several replicas
that start together one migrates and the others wait, and a migration that is interrupted
leaves the old schema and is run again at the next start.
"""

import asyncio
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

T = TypeVar("T")

_ENVIRONMENT = Path(__file__).parent / "environment"
_one_at_a_time: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class _Writes(Protocol):
    async def write(self, unit: Callable[[Connection], T]) -> T: ...


async def upgrade(
    database: _Writes, *, service: str, migrations: Path, revision: str = "head"
) -> None:
    """Run the revisions of *migrations* up to *revision* that the database lacks."""
    await _run(database, command.upgrade, service, migrations, revision)


async def downgrade(database: _Writes, *, service: str, migrations: Path, revision: str) -> None:
    """Undo the revisions above *revision*; `base` undoes all."""
    await _run(database, command.downgrade, service, migrations, revision)


async def current(database: _Writes, *, service: str) -> str | None:
    """Return the revision that the database is at, None if it has none."""

    def unit(connection: Connection) -> str | None:
        options = {"version_table": _version_table(service)}
        return MigrationContext.configure(connection, opts=options).get_current_revision()

    return await database.write(unit)


async def _run(
    database: _Writes,
    action: Callable[[Config, str], None],
    service: str,
    migrations: Path,
    revision: str,
) -> None:
    config = _configure(service, migrations)

    def unit(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:key)"),
                {"key": zlib.crc32(f"parley/{service}".encode())},
            )
        config.attributes["connection"] = connection
        action(config, revision)

    # `alembic.op` stands for one migration at a time in a process.
    lock = _one_at_a_time.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with lock:
        await database.write(unit)


def _configure(service: str, migrations: Path) -> Config:
    if not migrations.is_dir():
        raise FileNotFoundError(f"There are no migrations at {migrations}.")
    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(migrations).replace("%", "%%"))
    config.attributes["version_table"] = _version_table(service)
    return config


def _version_table(service: str) -> str:
    return f"alembic_version_{service}" if service else "alembic_version"
