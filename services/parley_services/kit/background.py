"""
Work that a service does by itself, beside its calls, and that must not die in silence.

    async with every(60, store.remove_expired, name="expiry", report=health_of_cache):
        ...  # serve

`every` repeats an action; `running` keeps a long piece of work going, as a watch of a peer. Both
log what goes wrong, pause longer after each failure, go on, and tell the
health of the service when it begins to fail and when it is well again.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from parley_services.kit.errors import ServiceError

log = structlog.get_logger()

Report = Callable[[bool], Awaitable[None]]
"""Is told whether the work succeeds, each time that this changes."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """
    Pauses after failures in a row: doubled each time, up to a limit, and drawn at random.

    The draw, between half of the pause and all of it, keeps replicas out of step
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
    """

    first_seconds: float = 0.5
    max_seconds: float = 30.0
    draw: Callable[[], float] = field(default=random.random)
    """Returns a number from 0 up to 1."""

    def seconds(self, failure_count: int) -> float:
        """Return the pause after *failure_count* failures in a row, at least one."""
        # The exponent is bounded, or a failure that lasts for weeks would overflow a float.
        longest = min(self.max_seconds, self.first_seconds * 2.0 ** min(failure_count - 1, 30))
        return longest * (1 + self.draw()) / 2


class _Outcomes:
    """Logs failures and reports changes between failing and succeeding."""

    def __init__(self, name: str, report: Report | None, report_after: int) -> None:
        self._name = name
        self._report = report
        self._report_after = report_after
        self._reported_failing = False
        self.failure_count = 0
        """Failures in a row."""

    async def succeeded(self) -> None:
        if self.failure_count:
            log.info("background_recovered", work=self._name, failure_count=self.failure_count)
        self.failure_count = 0
        if self._reported_failing:
            await self._tell(True)

    async def failed(self, error: Exception) -> None:
        self.failure_count += 1
        fields = {"work": self._name, "failure_count": self.failure_count}
        if not isinstance(error, ServiceError):
            log.error("background_failed", exc_info=error, **fields)
        elif self.failure_count & (self.failure_count - 1) == 0:
            # At 1, 2, 4, 8 ...: a peer that is away for an hour is not worth a thousand lines.
            log.warning("background_failed", reason=error.reason, **fields)
        if not self._reported_failing and self.failure_count >= self._report_after:
            await self._tell(False)

    async def _tell(self, succeeds: bool) -> None:
        if self._report is None:
            return
        try:
            await self._report(succeeds)
        except Exception:
            log.exception("background_report_failed", work=self._name)
        else:
            self._reported_failing = not succeeds


@asynccontextmanager
async def every(
    seconds: float,
    action: Callable[[], Awaitable[object]],
    *,
    name: str,
    report: Report | None = None,
    report_after: int = 1,
    at_once: bool = False,
    backoff: Backoff | None = None,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[None]:
    """
    Repeat *action* while the context lasts, with a pause of *seconds* after each run.

    The first run comes after a pause, or *at_once*. After a failure the pause is the backoff's,
    so that short ones come first. *report* hears False once *report_after* runs in a row have
    failed, and True at the next success. Leaving cancels a run and waits for its end.
    """
    outcomes = _Outcomes(name, report, report_after)
    pauses = backoff or Backoff()

    async def loop() -> None:
        pause = 0.0 if at_once else seconds
        while True:
            if pause:
                await sleep(pause)
            try:
                await action()
            except Exception as error:
                await outcomes.failed(error)
                pause = pauses.seconds(outcomes.failure_count)
            else:
                await outcomes.succeeded()
                pause = seconds

    async with _task(loop(), name):
        yield


@asynccontextmanager
async def running(
    work: Callable[[], Awaitable[object]],
    *,
    name: str,
    report: Report | None = None,
    report_after: int = 1,
    backoff: Backoff | None = None,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """
    Keep *work* running while the context lasts: start it again, after a pause, when it ends.

    Yields a coroutine function by which *work* says that it is well, for instance once a watch
    has got its first message: it ends the count of failures. Leaving cancels *work* and waits
    for its end.
    """
    outcomes = _Outcomes(name, report, report_after)
    pauses = backoff or Backoff()

    async def loop() -> None:
        while True:
            try:
                await work()
            except Exception as error:
                await outcomes.failed(error)
            await sleep(pauses.seconds(max(1, outcomes.failure_count)))

    async with _task(loop(), name):
        yield outcomes.succeeded


@asynccontextmanager
async def _task(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        # Waited for and not awaited: a cancel of whoever leaves is not the task's own.
        await asyncio.wait([task])
