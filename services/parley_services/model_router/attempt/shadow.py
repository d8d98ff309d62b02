"""Calls beside the answers, for experiments: few, dropped first, ended by the service alone."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from parley_services.kit.errors import Overloaded

RETRY_AFTER_SECONDS: Final = 5.0
"""About as long as an answer takes, after which a place has come free."""


class ShadowPool:
    """
    Runs a bounded number of calls that outlive whoever asked for them.

    There is no queue: a call that finds no place is dropped, since an experiment can do
    without one sample and an answer cannot wait for it.
    """

    def __init__(self, size: int) -> None:
        """Run *size* calls at once at most."""
        self._size = size
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many calls run now."""
        return len(self._running)

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run *work* and return its task, not to be cancelled. Raises Overloaded when full."""
        if len(self._running) >= self._size:
            raise Overloaded(
                "All places for shadow calls are taken; leave this one out.",
                metadata={"limit": str(self._size), "unit": "calls"},
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        task = asyncio.create_task(work())
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def aclose(self) -> None:
        """Cancel all calls and wait for their ends: their connections are closed then."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # Whoever still listens has it; asyncio need not warn of it.
