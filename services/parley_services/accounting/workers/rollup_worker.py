"""Rolls the ledger up on every replica; each entry is rolled up once."""

from typing import Protocol

import structlog

from parley_services.kit.errors import Overloaded

log = structlog.get_logger()


class RollupStore(Protocol):
    """A ledger that keeps sums of itself."""

    async def roll_up_next(self) -> int:
        """
        Add the next entries to the sums, in one transaction; return how many there were.

        Raises DependencyUnavailable if the store is away, Overloaded if it is busy.
        """
        ...


class RollupWorker:
    """Rolls up what has come."""

    def __init__(self, store: RollupStore) -> None:
        self._store = store

    async def run(self) -> None:
        """
        Roll up all that is there. What a failure left is rolled up the next time.

        Raises DependencyUnavailable if the store is away. One that is only busy is left alone.
        """
        try:
            await self.roll_up()
        except Overloaded:
            log.info("rollup_put_off")

    async def roll_up(self) -> int:
        """Roll up all that is there; return how many entries it was."""
        rolled = 0
        while count := await self._store.roll_up_next():
            rolled += count
        return rolled
