"""Streams of what changes, for watchers in this process and changes of any replica."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class Bell:
    """Wakes those who wait for news."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake all that wait now."""
        self._rung.set()
        self._rung = asyncio.Event()

    async def wait(self, timeout_seconds: float) -> None:
        """Return when the bell rings, at the latest after *timeout_seconds*."""
        rung = self._rung
        try:
            async with asyncio.timeout(timeout_seconds):
                await rung.wait()
        except TimeoutError:
            return


async def follow(
    fetch: Callable[[int], Awaitable[list[tuple[int, T]]]],
    *,
    after: int,
    bell: Bell,
    poll_interval_seconds: float,
) -> AsyncGenerator[T, None]:
    """
    Yield what *fetch* finds after a number, for ever, each item once and in order.

    *fetch* returns numbered items, oldest first. It is asked when the bell rings, and each
    *poll_interval_seconds* for what other replicas wrote. Ends on cancel, or with the error
    of *fetch*.
    """
    while True:
        found = await fetch(after)
        for number, item in found:
            after = number
            yield item
        if not found:
            await bell.wait(poll_interval_seconds)
