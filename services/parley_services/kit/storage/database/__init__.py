"""
Relational storage for every service: SQLite embedded, PostgreSQL in production.

Work is written once, as a *unit*: a plain function of a SQLAlchemy `Connection`. On SQLite
a dedicated thread runs it, on PostgreSQL it runs on asyncpg by SQLAlchemy's greenlet
bridge. So a query exists once, and the choice of database is one setting:

* `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`
* `postgresql://user:password@host:5432/name`, `postgresql://user@/name?host=/socket/folder`

SQLite is driven by the synchronous `sqlite3` in one writer thread rather than by aiosqlite:
aiosqlite crosses threads for every statement and SQLAlchemy crosses greenlets on top, which
costs several times the statement itself. One crossing for each *group* of units is cheaper,
and it is what lets many units share one commit. `bench/accounting_store.py` prints both.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Table, make_url
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect

from parley_services.kit.storage.database.migrations import current, downgrade, upgrade
from parley_services.kit.storage.database.postgresql import PostgresqlDatabase
from parley_services.kit.storage.database.sqlite import SqliteDatabase

__all__ = [
    "Database",
    "Unit",
    "current",
    "downgrade",
    "insert",
    "open_database",
    "upgrade",
]

T = TypeVar("T")
Unit = Callable[[Connection], T]
"""Work inside one transaction. It must be repeatable: PostgreSQL may run it again after a
serialization failure. It may not commit, and it keeps nothing of the connection."""


class Database(Protocol):
    """A database that runs units of work."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    async def read(self, unit: Unit[T]) -> T:
        """
        Run *unit* where it may only read, and return its result.

        Raises DependencyUnavailable if the database is away. On cancel the unit may still
        run to its end; its result is dropped.
        """
        ...

    async def write(self, unit: Unit[T]) -> T:
        """
        Run *unit* in a transaction and return its result after the commit.

        What the unit raises is raised here, and nothing of it is kept; units that share
        its transaction are not touched. Raises DependencyUnavailable if the database is
        away or its disk is full, Overloaded if too many units wait. On cancel the unit may
        still be committed, so it must be idempotent to be tried again.
        """
        ...

    async def aclose(self) -> None:
        """Finish the units that wait, then close every connection. Idempotent."""
        ...


@asynccontextmanager
async def open_database(
    url: str,
    *,
    service: str | None = None,
    migrations: Path | None = None,
) -> AsyncGenerator[Database, None]:
    """
    Open the database at *url*, bring it to the newest schema, and close it at the end.

    *migrations* is the folder of the service's Alembic revisions; without it, no schema is
    touched. *service* names the version table, so that services may share a database.

    Raises ValueError for another kind of database or one in memory, DependencyUnavailable
    if it cannot be reached.
    """
    database = _connect(url)
    try:
        if migrations is not None:
            await upgrade(database, service=service or "", migrations=migrations)
        yield database
    finally:
        await database.aclose()


def insert(
    connection: Connection, table: Table
) -> "sqlite_dialect.Insert | postgresql_dialect.Insert":
    """Return an INSERT with `on_conflict_do_update` and `on_conflict_do_nothing`."""
    if connection.dialect.name == "sqlite":
        return sqlite_dialect.insert(table)
    return postgresql_dialect.insert(table)


def _connect(url: str) -> SqliteDatabase | PostgresqlDatabase:
    parsed: Any = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError("A SQLite database needs a file: sqlite:///path/to/file.db.")
            return SqliteDatabase(Path(parsed.database))
        case "postgresql":
            return PostgresqlDatabase(url)
        case other:
            raise ValueError(f"Databases of kind {other!r} are not supported.")
