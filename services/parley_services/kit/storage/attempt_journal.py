"""
Calls to providers that accounting has not been told of yet.

Whoever calls a provider writes the call down before it makes it, and again when it ended. Once
the turn must be over, accounting is told of it and books it unless a settlement has. So no call
is lost, whichever process dies. Imports no service, only accounting's proto.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import grpc
import structlog
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc

from parley_services.kit.background import every
from parley_services.kit.clock import Clock
from parley_services.kit.errors import DependencyUnavailable, Overloaded, ServiceError
from parley_services.kit.rpc.status import service_error_of
from parley_services.kit.storage.journal import Journal, Record

log = structlog.get_logger()

TOLD_TOGETHER: Final = 500
"""Attempts in one call, as many as accounting takes."""

TIMEOUT_SECONDS: Final = 10.0

_KIND: Final = "attempt"
_RETRY_SECONDS: Final = 30.0


class AttemptJournal:
    """
    Attempts on disk, from which accounting is told.

    Attempts without a tenant can be booked for nobody and are not written.
    """

    def __init__(
        self,
        journal: Journal,
        channel: grpc.aio.Channel,
        *,
        clock: Clock,
        interval_seconds: float,
        record_limit: int,
    ) -> None:
        """Look every *interval_seconds* for what is due; hold *record_limit* at most."""
        self._journal = journal
        self._stub: pb_grpc.AccountingServiceAsyncStub = pb_grpc.AccountingServiceStub(channel)
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._record_limit = record_limit
        self._count = len(journal)
        self._due_times: dict[int, float] = {}

    def begin(self, attempt: pb.TurnAttempt, *, due_time: float) -> int:
        """
        Write down an attempt that is about to be made; return the number of the note.

        It is written as it would be booked if nothing more were heard of it. Accounting is
        told after *due_time*, in seconds since 1970. Raises Overloaded if it cannot be
        written; it must not be made then.
        """
        if not attempt.subject.tenant_id:
            return 0
        if self._count >= self._record_limit:
            raise _too_much()
        try:
            number = self._journal.add(_KIND, attempt.SerializeToString(), due_time=due_time)
        except DependencyUnavailable as error:
            raise _too_much() from error
        self._count += 1
        self._due_times[number] = due_time
        return number

    def update(self, number: int, attempt: pb.TurnAttempt) -> None:
        """Write down how far an attempt is, or how it ended."""
        due_time = self._due_times.get(number)
        if due_time is None:
            return
        try:
            self._journal.replace(number, _KIND, attempt.SerializeToString(), due_time=due_time)
        except DependencyUnavailable:
            log.error("attempt_not_written", request_id=attempt.request_id)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Tell of what is due while the context lasts, also of what an earlier run wrote."""
        async with self._journal.running():
            work = every(self._interval_seconds, self._tell_all, name="attempts", at_once=True)
            async with work:
                yield

    async def _tell_all(self) -> None:
        while await self.tell():
            pass

    async def tell(self) -> bool:
        """
        Tell of what is due, up to `TOLD_TOGETHER`; say whether there may be more.

        Raises DependencyUnavailable if accounting is away; nothing is forgotten then.
        """
        now = self._clock.now().timestamp()
        records = self._journal.records(due_by=now, limit=TOLD_TOGETHER)
        if not records:
            return False
        try:
            await self._book(records)
        except ServiceError as error:
            if _is_worth_another_try(error):
                raise
            await self._tell_one_by_one(records)
        else:
            self._forget(records)
        return len(records) == TOLD_TOGETHER

    async def _tell_one_by_one(self, records: Sequence[Record]) -> None:
        """Find out which of *records* is refused, and keep that one aside."""
        for record in records:
            try:
                await self._book([record])
            except ServiceError as error:
                if _is_worth_another_try(error):
                    raise
                log.error("attempt_refused", reason=error.reason)
                self._journal.refuse(record.id, error.reason)
                self._due_times.pop(record.id, None)
            else:
                self._forget([record])

    async def _book(self, records: Sequence[Record]) -> None:
        told = [pb.TurnAttempt.FromString(record.payload) for record in records]
        request = pb.ReportAttemptsRequest(attempts=told)
        try:
            answer = await self._stub.ReportAttempts(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise service_error_of(error) or DependencyUnavailable(
                "Accounting is away: try again later.", metadata={"dependency": "accounting"}
            ) from None
        if answer.booked_count:
            log.info("attempts_booked_late", count=answer.booked_count)

    def _forget(self, records: Sequence[Record]) -> None:
        self._journal.remove([record.id for record in records])
        self._count -= len(records)
        for record in records:
            self._due_times.pop(record.id, None)


def _is_worth_another_try(error: ServiceError) -> bool:
    return isinstance(error, DependencyUnavailable | Overloaded)


def _too_much() -> Overloaded:
    return Overloaded(
        "Too many calls are still to be told to accounting, or the disk for them is full, so no "
        "provider can be called: try again later.",
        retry_after_seconds=_RETRY_SECONDS,
    )
