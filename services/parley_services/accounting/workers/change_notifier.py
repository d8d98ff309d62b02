"""Streams of what changes, for watchers in this process and changes of any replica."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class ChangeNotifier:
    """Wakes those who wait for news."""

    def __init__(self) -> None:
        self._notified = asyncio.Event()

    def notify(self) -> None:
        """Wake all that wait now."""
        self._notified.set()
        self._notified = asyncio.Event()

    async def wait(self, timeout_seconds: float) -> None:
        """Return at the next `notify`, at the latest after *timeout_seconds*."""
        notified = self._notified
        try:
            async with asyncio.timeout(timeout_seconds):
                await notified.wait()
        except TimeoutError:
            return


async def follow(
    fetch: Callable[[int], Awaitable[list[tuple[int, T]]]],
    *,
    after: int,
    notifier: ChangeNotifier,
    poll_interval_seconds: float,
) -> AsyncGenerator[T, None]:
    """
    Yield what *fetch* finds after a number, for ever, each item once and in order.

    *fetch* returns numbered items, oldest first. It is asked when *notifier* says so, and each
    *poll_interval_seconds* for what other replicas wrote. Ends on cancel, or with the error
    of *fetch*.
    """
    while True:
        found = await fetch(after)
        for number, item in found:
            after = number
            yield item
        if not found:
            await notifier.wait(poll_interval_seconds)
