"""PostgreSQL by asyncpg."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine

from parley_services.kit.errors import DependencyUnavailable, Overloaded

T = TypeVar("T")

_CONNECTIONS = 8
"""Connections of one process. PostgreSQL allows 100 by default, for all of them."""

_CONNECT_TIMEOUT_SECONDS = 5.0
_STATEMENT_TIMEOUT_SECONDS = 15.0

_ATTEMPTS = 4
_RUN_AGAIN = {"40001", "40P01"}
"""Serialization failure and deadlock: the server asks to run the transaction again.
https://www.postgresql.org/docs/15/mvcc-serialization-failure-handling.html"""

_AWAY = ("08", "53", "57P", "58")
"""Connection exceptions, insufficient resources, shutdown, and system errors.
https://www.postgresql.org/docs/15/errcodes-appendix.html"""


class PostgresqlDatabase:
    """A `Database` on PostgreSQL 13 or newer, isolation READ COMMITTED."""

    dialect = "postgresql"

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_CONNECT_TIMEOUT_SECONDS,
            connect_args={
                "timeout": _CONNECT_TIMEOUT_SECONDS,
                "command_timeout": _STATEMENT_TIMEOUT_SECONDS,
                "server_settings": {"application_name": "parley"},
            },
        )

    async def read(self, unit: Callable[[Connection], T]) -> T:
        def reading(connection: Connection) -> T:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            return unit(connection)

        return await self._run(reading)

    async def write(self, unit: Callable[[Connection], T]) -> T:
        return await self._run(unit)

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def _run(self, unit: Callable[[Connection], T]) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(unit)
            except DBAPIError as error:
                state = getattr(error.orig, "sqlstate", None)
                if state in _RUN_AGAIN and attempt < _ATTEMPTS:
                    continue
                if _is_away(error, state):
                    raise _away() from error
                raise
            except PoolTimeout as error:
                raise Overloaded(
                    "All connections to the database are busy: try again soon.",
                    retry_after_seconds=1.0,
                ) from error
            except OSError as error:
                raise _away() from error


def _is_away(error: DBAPIError, state: str | None) -> bool:
    if error.connection_invalidated:
        return True
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return state.startswith(_AWAY)


def _away() -> DependencyUnavailable:
    return DependencyUnavailable(
        "The database cannot be reached: try again soon.",
        metadata={"dependency": "postgresql"},
        retry_after_seconds=1.0,
    )
