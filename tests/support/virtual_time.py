"""Time that passes only when everybody waits for it."""

import asyncio
import heapq
from itertools import count

from tests.support.clock import ManualClock

IDLE_TURNS = 30
"""Turns of the loop without which nobody is taken to be waiting for anything but time."""


class VirtualTime(ManualClock):
    """A clock with a `sleep`: `run` moves it on to whoever wakes up next."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def sleep(self, seconds: float) -> None:
        """Wait until *seconds* have passed."""
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.monotonic() + seconds, next(self._numbers), woken))
        await woken

    async def run(self, coroutine):
        """Return what *coroutine* returns, letting time pass whenever all wait."""
        task = asyncio.ensure_future(coroutine)
        while not task.done():
            for _ in range(IDLE_TURNS):
                await asyncio.sleep(0)
            while self._sleepers and not task.done():
                due, _, woken = heapq.heappop(self._sleepers)
                if not woken.done():
                    self.advance(max(0.0, due - self.monotonic()))
                    woken.set_result(None)
                    break
        return task.result()
