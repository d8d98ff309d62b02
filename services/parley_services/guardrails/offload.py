"""Judges what takes long beside the event loop, so that other calls go on."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Semaphore
from typing import TypeVar

from parley_services.kit.errors import Overloaded

RETRY_AFTER_SECONDS = 1.0
"""About what one of the longest texts takes."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class OffloadBounds:
    """What is done elsewhere, and how much of it at once."""

    from_bytes: int = 16 * 1024
    """Size from which a text is judged by a thread: below it, judging takes a few
    milliseconds at most and a thread costs more than it spares."""

    threads: int = 2
    max_waiting: int = 32
    """Long texts that run or wait for a thread; more are refused."""


class Offload:
    """
    A few threads for long texts, and for texts that a model has to read.

    RE2 releases the interpreter's lock while it searches, and Python between its own steps,
    so the event loop waits milliseconds at most while a text is judged.
    """

    def __init__(self, bounds: OffloadBounds) -> None:
        self._bounds = bounds
        self._places = Semaphore(bounds.max_waiting)
        self._threads = ThreadPoolExecutor(bounds.threads, thread_name_prefix="guardrails")

    @property
    def from_bytes(self) -> int:
        """Size from which a text is judged by a thread."""
        return self._bounds.from_bytes

    async def run(
        self, size_bytes: int, work: Callable[[], _Result], *, is_slow: bool = False
    ) -> _Result:
        """
        Return the result of *work*, which judges *size_bytes*; raise what it raises.

        With *is_slow* a thread does it whatever the size.

        Raises Overloaded if too many texts wait. On cancel the caller goes on at once;
        what a thread has begun it ends, and its result is dropped.
        """
        if size_bytes < self._bounds.from_bytes and not is_slow:
            return work()
        if not self._places.acquire(blocking=False):
            raise Overloaded(
                "Too many texts wait for a thread to judge them: try again or send shorter ones.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        future = self._threads.submit(work)
        # Also when the caller has gone: a place is free once the thread is.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let go of the threads; what runs in one of them comes to its end first."""
        self._threads.shutdown(wait=True, cancel_futures=True)
