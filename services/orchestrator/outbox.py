"""
What must be written elsewhere, kept on disk until it is.

A record is committed to a file of this process, delivered, and deleted after the other side
has acknowledged it. A record that was acknowledged just before a crash is delivered again, so
every delivery must be idempotent. https://microservices.io/patterns/data/transactional-outbox.html
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from services.kit.database import Database
from services.kit.errors import (
    ConcurrencyLimited,
    DeadlineExceeded,
    DependencyUnavailable,
    Overloaded,
    RateLimited,
    ServiceError,
)

log = structlog.get_logger()

Deliver = Callable[[bytes], Awaitable[None]]

FIRST_RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 30.0
GATHER_SECONDS = 0.05
"""How long records are gathered before they are committed together. A commit costs about as
much CPU as the rest of what follows a turn. Whoever dies within this time has a reservation
with accounting, which is booked when it expires."""

REST_SECONDS = 0.5
"""How long acknowledged records may wait to be deleted together with the next ones."""

_WORKERS = 16
_FLUSH_AT_CLOSE_SECONDS = 5.0
_RETRYABLE = (
    DependencyUnavailable,
    DeadlineExceeded,
    Overloaded,
    RateLimited,
    ConcurrencyLimited,
)

metadata = MetaData()
records = Table(
    "outbox_records",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("refusal", String, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)


@dataclass(slots=True)
class _Record:
    kind: str
    payload: bytes
    id: int = 0
    tries: int = 0
    refusal: str = ""


class Outbox:
    """
    A durable queue to other services.

    *deliver* has one function per kind; it returns once the other side has committed. A
    record that is refused for good is kept with its reason and logged; it is not tried again.
    """

    def __init__(
        self, database: Database, deliver: Mapping[str, Deliver], *, record_limit: int
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._record_limit = record_limit
        self._fresh: list[_Record] = []
        self._acknowledged: list[int] = []
        self._count = 0
        self._refused: list[_Record] = []
        self._due: asyncio.Queue[_Record] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._disk_failed = False
        self._close_wanted = asyncio.Event()

    @property
    def count(self) -> int:
        """How many records wait for their delivery."""
        return self._count

    def put(self, kind: str, payload: bytes) -> None:
        """Take a record. It is on disk and on its way a moment later."""
        self._fresh.append(_Record(kind, payload))
        self._count += 1
        self._empty.clear()
        self._wake.set()

    def check_room(self) -> None:
        """Raise Overloaded if the limit is reached or the disk refuses new records."""
        if self._count >= self._record_limit or self._disk_failed:
            raise Overloaded(
                "Too much is still to be booked, so no new turn can begin: try again later.",
                retry_after_seconds=MAX_RETRY_SECONDS,
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """
        Store and deliver while the context lasts, beginning with what an earlier run left.

        On leaving, all that was put is stored and deliveries go on for a few seconds; what is
        left is delivered after the next start.
        """
        await self._load()
        workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]
        # It is never cancelled: a commit whose answer is lost could not be told from none.
        storing = asyncio.create_task(self._store_until_closed())
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_AT_CLOSE_SECONDS):
                    await self._empty.wait()
            self._close_wanted.set()
            self._wake.set()
            await storing
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._store()

    async def _store_until_closed(self) -> None:
        while not self._close_wanted.is_set():
            await self._next_batch()
            await self._gather()
            await self._store()

    async def _load(self) -> None:
        """Queue what an earlier run left."""

        def unit(connection: Connection) -> list[_Record]:
            rows = connection.execute(
                select(records.c.id, records.c.kind, records.c.payload)
                .where(records.c.refusal == "")
                .order_by(records.c.id)
            )
            return [_Record(row.kind, row.payload, id=row.id) for row in rows]

        left = await self._database.read(unit)
        self._count += len(left)
        for record in left:
            self._empty.clear()
            self._due.put_nowait(record)

    async def _next_batch(self) -> None:
        """Wait until there is something to store; what is only to be deleted waits a while."""
        while not (self._fresh or self._refused or self._close_wanted.is_set()):
            self._wake.clear()
            if not self._acknowledged:
                await self._wake.wait()
                continue
            try:
                async with asyncio.timeout(REST_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                return

    async def _gather(self) -> None:
        """Let more records come, unless the end has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                await self._close_wanted.wait()

    async def _store(self) -> None:
        """Commit the fresh records, delete the acknowledged ones, and send the fresh on."""
        fresh, self._fresh = self._fresh, []
        acknowledged, self._acknowledged = self._acknowledged, []
        refused, self._refused = self._refused, []

        def unit(connection: Connection) -> list[int]:
            if acknowledged:
                connection.execute(delete(records).where(records.c.id.in_(acknowledged)))
            for record in refused:
                connection.execute(
                    update(records).where(records.c.id == record.id).values(refusal=record.refusal)
                )
            if not fresh:
                return []
            rows = [{"kind": record.kind, "payload": record.payload} for record in fresh]
            statement = insert(records).returning(records.c.id, sort_by_parameter_order=True)
            return list(connection.execute(statement, rows).scalars())

        try:
            ids = await self._database.write(unit)
        except (DependencyUnavailable, Overloaded):
            # Nothing is lost: it stays in memory, and no new turn begins until there is room.
            self._disk_failed = True
            log.error("outbox_not_written", count=len(fresh))
            self._fresh = fresh + self._fresh
            self._acknowledged = acknowledged + self._acknowledged
            self._refused = refused + self._refused
            await asyncio.sleep(FIRST_RETRY_SECONDS)
            return
        self._disk_failed = False
        for record, record_id in zip(fresh, ids, strict=True):
            record.id = record_id
            self._due.put_nowait(record)

    async def _work(self) -> None:
        while True:
            record = await self._due.get()
            await self._send(record)

    async def _send(self, record: _Record) -> None:
        try:
            await self._deliver[record.kind](record.payload)
        except _RETRYABLE:
            delay = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**record.tries)
            record.tries += 1
            asyncio.get_running_loop().call_later(delay, self._due.put_nowait, record)
            return
        except Exception as error:
            record.refusal = error.reason if isinstance(error, ServiceError) else "INTERNAL"
            log.exception("outbox_record_refused", reason=record.refusal)
            self._refused.append(record)
        else:
            self._acknowledged.append(record.id)
        self._count -= 1
        if not self._count:
            self._empty.set()
        if self._refused or len(self._acknowledged) == 1:
            self._wake.set()
