"""
What must be written elsewhere, kept in a journal until it is.

A record is journalled, delivered, and removed after the other side has acknowledged it. One
that was acknowledged just before a crash is delivered again, so every delivery must be
idempotent. https://microservices.io/patterns/data/transactional-outbox.html
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from parley_services.kit.clock import Clock
from parley_services.kit.errors import (
    ConcurrencyLimited,
    DeadlineExceeded,
    DependencyUnavailable,
    Overloaded,
    RateLimited,
    ServiceError,
)
from parley_services.kit.storage.journal import Journal

log = structlog.get_logger()

Deliver = Callable[[bytes], Awaitable[None]]

FIRST_RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 30.0
GATHER_SECONDS = 0.05
"""How long records are gathered before they are sent, so that those who take them commit
several together. They are in the journal from the beginning."""

REST_SECONDS = 0.5
"""How long acknowledged records may wait to be removed together with the next ones."""

_WORKERS = 16
_FLUSH_AT_CLOSE_SECONDS = 5.0
_RETRYABLE = (
    DependencyUnavailable,
    DeadlineExceeded,
    Overloaded,
    RateLimited,
    ConcurrencyLimited,
)


@dataclass(slots=True)
class _Delivery:
    kind: str
    payload: bytes
    record_id: int
    """0 while the disk refuses it; it is delivered all the same."""
    tries: int = 0


class Outbox:
    """
    A durable queue to other services.

    *deliver* has one function per kind; it returns once the other side has committed. A
    record that is refused for good is kept with its reason and logged; it is not tried again.
    """

    def __init__(
        self, journal: Journal, deliver: Mapping[str, Deliver], *, clock: Clock, record_limit: int
    ) -> None:
        self._journal = journal
        self._deliver = deliver
        self._clock = clock
        self._record_limit = record_limit
        self._fresh: list[_Delivery] = []
        self._acknowledged: list[int] = []
        self._count = 0
        self._due: asyncio.Queue[_Delivery] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def count(self) -> int:
        """How many records wait for their delivery."""
        return self._count

    def promise(self, kind: str, payload: bytes, *, due_time: float) -> int:
        """
        Write down what is to be delivered if this process dies, and return its id.

        It is delivered by the next run, not before *due_time*, in seconds since 1970, unless
        it was kept or withdrawn until then. Raises Overloaded if the limit is reached or the
        disk refuses new records.
        """
        if self._count >= self._record_limit:
            raise _too_much()
        try:
            return self._journal.add(kind, payload, due_time=due_time)
        except DependencyUnavailable as error:
            raise _too_much() from error

    def withdraw(self, promise_id: int) -> None:
        """Forget a promise: there is nothing to deliver."""
        self._acknowledged.append(promise_id)
        self._wake.set()

    def put(self, kind: str, payload: bytes, *, promise_id: int = 0) -> None:
        """Take a record, in place of a promise if one was made. It is on its way in a moment."""
        record_id = promise_id
        try:
            if promise_id:
                self._journal.replace(promise_id, kind, payload)
            else:
                record_id = self._journal.add(kind, payload)
        except DependencyUnavailable:
            # It stays in memory until it is delivered, and no new turn begins meanwhile.
            log.error("outbox_not_written", count=1)
        self._take(_Delivery(kind, payload, record_id))
        self._wake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """
        Deliver while the context lasts, beginning with what an earlier run left.

        On leaving, deliveries go on for a few seconds; what is left is delivered after the
        next start.
        """
        async with self._journal.running():
            timers = self._load()
            workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]
            workers.append(asyncio.create_task(self._hand_out()))
            try:
                yield
            finally:
                for timer in timers:
                    timer.cancel()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_AT_CLOSE_SECONDS):
                        await self._empty.wait()
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
                self._remove_acknowledged()

    def _load(self) -> list[asyncio.TimerHandle]:
        """Queue what an earlier run left, each record when it is due."""
        timers = []
        now = self._clock.now().timestamp()
        loop = asyncio.get_running_loop()
        for record in self._journal.records():
            delivery = _Delivery(record.kind, record.payload, record.id)
            if record.due_time <= now:
                self._take(delivery)
            else:
                timers.append(loop.call_later(record.due_time - now, self._take_late, delivery))
        if self._fresh:
            self._wake.set()
        return timers

    def _take_late(self, delivery: _Delivery) -> None:
        self._take(delivery)
        self._wake.set()

    def _take(self, delivery: _Delivery) -> None:
        self._fresh.append(delivery)
        self._count += 1
        self._empty.clear()

    async def _hand_out(self) -> None:
        """Send what was gathered, and remove what was acknowledged."""
        while True:
            await self._wait_for_work()
            await asyncio.sleep(GATHER_SECONDS)
            fresh, self._fresh = self._fresh, []
            for delivery in fresh:
                self._due.put_nowait(delivery)
            self._remove_acknowledged()

    async def _wait_for_work(self) -> None:
        """Wait until there is something to send; what is only to be removed waits a while."""
        while not self._fresh:
            self._wake.clear()
            if not self._acknowledged:
                await self._wake.wait()
                continue
            try:
                async with asyncio.timeout(REST_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _remove_acknowledged(self) -> None:
        acknowledged, self._acknowledged = self._acknowledged, []
        try:
            self._journal.remove(acknowledged)
        except DependencyUnavailable:
            # Delivered once more after a restart, which does no harm.
            self._acknowledged = acknowledged + self._acknowledged

    async def _work(self) -> None:
        while True:
            delivery = await self._due.get()
            await self._send(delivery)

    async def _send(self, delivery: _Delivery) -> None:
        try:
            await self._deliver[delivery.kind](delivery.payload)
        except _RETRYABLE:
            delay = min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**delivery.tries)
            delivery.tries += 1
            asyncio.get_running_loop().call_later(delay, self._due.put_nowait, delivery)
            return
        except Exception as error:
            self._refuse(delivery, error)
        else:
            if delivery.record_id:
                self._acknowledged.append(delivery.record_id)
        self._count -= 1
        if not self._count:
            self._empty.set()
        if len(self._acknowledged) == 1:
            self._wake.set()

    def _refuse(self, delivery: _Delivery, error: Exception) -> None:
        reason = error.reason if isinstance(error, ServiceError) else "INTERNAL"
        log.exception("outbox_record_refused", reason=reason)
        if not delivery.record_id:
            return
        try:
            self._journal.refuse(delivery.record_id, reason)
        except DependencyUnavailable:
            log.error("outbox_not_written", count=1)


def _too_much() -> Overloaded:
    return Overloaded(
        "Too much is still to be booked, or the disk of the outbox is full, so no new turn can "
        "begin: try again later.",
        retry_after_seconds=MAX_RETRY_SECONDS,
    )
