"""Rolls the ledger up, again and again, on every replica; each entry is rolled up once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from parley_services.kit.errors import Overloaded

log = structlog.get_logger()


class RolledStore(Protocol):
    """A ledger that keeps sums of itself."""

    async def roll_next(self) -> int:
        """
        Add the next entries to the sums, in one transaction; return how many there were.

        Raises DependencyUnavailable if the store is away, Overloaded if it is busy.
        """
        ...


class Roller:
    """Rolls up what has come, then rests."""

    def __init__(
        self,
        store: RolledStore,
        *,
        interval_seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._interval_seconds = interval_seconds
        self._sleep = sleep

    async def run(self) -> None:
        """Roll until cancelled. What a rest or a failure left is rolled up the next time."""
        while True:
            try:
                await self.roll()
            except Overloaded:
                log.info("roll_put_off")  # The store is there, and busy.
            except Exception:
                log.warning("roll_failed", exc_info=True)
            await self._sleep(self._interval_seconds)

    async def roll(self) -> int:
        """Roll up all that is there; return how many entries it was."""
        rolled = 0
        while count := await self._store.roll_next():
            rolled += count
        return rolled
