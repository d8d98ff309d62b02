"""Ends reservations whose lease is over, on every replica; each is ended once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from parley_services.accounting.clock_reader import Moment, Timekeeper
from parley_services.accounting.ledger.expire import Expire
from parley_services.accounting.ledger.levels import Terms
from parley_services.accounting.ledger.turn import TurnKey
from parley_services.accounting.ledger.unit_of_work import LedgerStore
from parley_services.kit.errors import Overloaded

log = structlog.get_logger()


class SweptStore(LedgerStore, Protocol):
    """Books that know whose lease is over."""

    async def due_turns(self, moment: Moment) -> list[TurnKey]:
        """Return running turns whose lease is over by *moment*."""
        ...


class Sweeper:
    """Looks for ended leases again and again."""

    def __init__(
        self,
        store: SweptStore,
        *,
        terms: Terms,
        timekeeper: Timekeeper,
        interval_seconds: float,
        report: Callable[[bool], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._terms = terms
        self._timekeeper = timekeeper
        self._interval_seconds = interval_seconds
        self._report = report
        self._sleep = sleep

    async def run(self) -> None:
        """Sweep until cancelled; tell after each time whether the store answered."""
        while True:
            try:
                await self.sweep()
            except Overloaded:
                log.info("sweep_put_off")  # The store is there, and busy.
            except Exception:
                log.warning("sweep_failed", exc_info=True)
                await self._report(False)
            else:
                await self._report(True)
            await self._sleep(self._interval_seconds)

    async def sweep(self) -> int:
        """End all leases that are over; return how many were."""
        ended = 0
        while due := await self._store.due_turns(self._timekeeper.moment()):
            moment = self._timekeeper.moment()
            steps = (Expire(key, terms=self._terms, moment=moment) for key in due)
            outcomes = await asyncio.gather(*map(self._store.commit, steps))
            if not any(outcomes):
                break
            ended += sum(outcomes)
        return ended
