"""
SQLite in WAL mode: one writer thread with group commit, and a few readers.

Units that arrive while a commit waits for the disk share the next one, so that the cost of
`fsync` is paid once for many. Nothing waits on purpose: an idle database commits a unit at
once. https://www.sqlite.org/wal.html
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from parley_services.kit.errors import DependencyUnavailable, Overloaded

T = TypeVar("T")

_READERS = 2
_GROUP_LIMIT = 512
"""Units in one transaction, so that the first of them does not wait for ever."""

_QUEUE_LIMIT = 20_000
_BUSY_TIMEOUT_MS = 5_000
"""How long a write waits for another process that holds the file."""

_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
}


@dataclass(slots=True)
class _Submitted:
    unit: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class SqliteDatabase:
    """
    A `Database` in one file. Its folder is made if it does not exist.

    Every commit is on the disk (`synchronous=FULL`) before a unit's result is returned.
    """

    dialect = "sqlite"

    def __init__(self, path: Path, *, queue_limit: int = _QUEUE_LIMIT) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._queue_limit = queue_limit
        self._inbox: queue.SimpleQueue[_Submitted | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reading = _engine(path, writes=False)

    async def read(self, unit: Callable[[Connection], T]) -> T:
        self._check_open()
        if self._readers is None:
            self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-read")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, unit)

    async def write(self, unit: Callable[[Connection], T]) -> T:
        self._check_open()
        if self._waiting >= self._queue_limit:
            raise Overloaded(
                "Too many writes wait for the database: try again soon.", retry_after_seconds=0.5
            )
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name="sqlite-write", daemon=True)
            self._thread.start()
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._inbox.put(_Submitted(unit, future))
        return await future

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join)
        if self._readers is not None:
            await asyncio.to_thread(self._readers.shutdown)
        self._reading.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise DependencyUnavailable(
                "The database is closed.", metadata={"dependency": "sqlite"}
            )

    def _read(self, unit: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as connection:
                return unit(connection)
        except DBAPIError as error:
            raise translated(error) from error

    def _run(self) -> None:
        """Commit groups of units until told to end. Runs in the writer thread."""
        engine = _engine(self._path, writes=True)
        connection: Connection | None = None
        try:
            more = True
            while more:
                group, more = self._next_group()
                if not group:
                    continue
                try:
                    if connection is None:
                        connection = engine.connect()
                    _commit(connection, group)
                except Exception as error:
                    _fail_all(group, error)
                    if connection is not None:
                        connection.invalidate()
                        connection.close()
                        connection = None
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._deliver, group)
        finally:
            if connection is not None:
                connection.close()
            engine.dispose()

    def _next_group(self) -> tuple[list[_Submitted], bool]:
        """Wait for a unit; return it with all that have come meanwhile, and whether to go on."""
        group: list[_Submitted] = []
        item = self._inbox.get()
        while item is not None:
            group.append(item)
            if len(group) == _GROUP_LIMIT:
                return group, True
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _deliver(self, group: list[_Submitted]) -> None:
        self._waiting -= len(group)
        for each in group:
            if each.future.done():
                continue
            if each.error is not None:
                each.future.set_exception(each.error)
            else:
                each.future.set_result(each.result)


def _commit(connection: Connection, group: list[_Submitted]) -> None:
    """Run *group* in one transaction; a unit that fails is undone alone."""
    alone = len(group) == 1
    with connection.begin() as transaction:
        # The driver's own cursor: a savepoint by SQLAlchemy costs more than most units.
        driver = cast(sqlite3.Connection, connection.connection.driver_connection)
        for each in group:
            if not alone:
                driver.execute("SAVEPOINT unit")
            try:
                each.result = each.unit(connection)
            except Exception as error:
                each.error = translated(error)
                if not driver.in_transaction:
                    # SQLite itself rolls back on a full disk, an I/O error or no memory.
                    raise
                if not alone:
                    driver.execute("ROLLBACK TO unit")
            if not alone:
                driver.execute("RELEASE unit")
        if alone and group[0].error is not None:
            transaction.rollback()
            return
        transaction.commit()


def _fail_all(group: list[_Submitted], error: Exception) -> None:
    for each in group:
        if each.error is None:
            each.error = translated(error)


def translated(error: Exception) -> Exception:
    """Return *error* as callers know it: DependencyUnavailable if the file is out of reach."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    # The low byte is the primary result code: https://www.sqlite.org/rescode.html
    code = getattr(cause, "sqlite_errorcode", None)
    if not isinstance(cause, sqlite3.Error) or code is None or code & 0xFF not in _AWAY:
        return error
    away = DependencyUnavailable(
        "The database cannot be written now, its disk may be full: try again soon.",
        metadata={"dependency": "sqlite"},
        retry_after_seconds=1.0,
    )
    away.__cause__ = error
    return away


def _engine(path: Path, *, writes: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool if writes else QueuePool,
        connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(driver: sqlite3.Connection, _record: object) -> None:
        # SQLAlchemy begins, not the driver, which would leave DDL outside of transactions.
        driver.isolation_level = None
        driver.execute("PRAGMA journal_mode=WAL")
        driver.execute("PRAGMA synchronous=FULL")
        driver.execute("PRAGMA foreign_keys=ON")
        driver.execute("PRAGMA cache_size=-16384")
        driver.execute("PRAGMA temp_store=MEMORY")
        if not writes:
            driver.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
