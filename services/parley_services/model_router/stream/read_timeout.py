"""Limits how long one read of a stream may take, at next to no cost for reads that are quick."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class ReadTimedOut(Exception):
    """A read took longer than its limit. It was cancelled."""


class ReadTimeout:
    """
    Runs reads one after the other, each within a limit.

    `asyncio.timeout` makes and cancels a timer for each read; here one timer looks after
    all of them and is moved only when it fires.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._due = 0.0
        self._fired = False

    async def read(self, read: Callable[[], Awaitable[T]], limit_seconds: float) -> T:
        """
        Return what *read* returns. Raises ReadTimedOut after *limit_seconds*.

        A cancel from elsewhere goes through as CancelledError.
        """
        task = asyncio.current_task()
        assert task is not None
        cancels_before = task.cancelling()
        self._due = self._loop.time() + limit_seconds
        self._task = task
        if self._timer is None or self._timer.when() > self._due:
            self._set_timer()
        try:
            return await read()
        except asyncio.CancelledError:
            if self._fired and task.uncancel() <= cancels_before:
                raise ReadTimedOut from None
            raise
        finally:
            self._task = None
            self._fired = False

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._due:
            self._set_timer()
        else:
            self._fired = True
            self._task.cancel()
