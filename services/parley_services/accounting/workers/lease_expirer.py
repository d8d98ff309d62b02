"""Ends reservations whose lease is over, on every replica; each is ended once."""

import asyncio
from typing import Protocol

import structlog

from parley_services.accounting.ledger.expire import Expire
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.turn import TurnKey
from parley_services.accounting.ledger.unit_of_work import LedgerStore
from parley_services.kit.errors import Overloaded

log = structlog.get_logger()


class LeasedStore(LedgerStore, Protocol):
    """A ledger that knows whose lease is over."""

    async def due_turns(self) -> list[TurnKey]:
        """Return running turns whose lease is over."""
        ...


class LeaseExpirer:
    """Books an estimate for turns that nobody settled in time."""

    def __init__(self, store: LeasedStore, *, context: PricingContext) -> None:
        self._store = store
        self._context = context

    async def run(self) -> None:
        """
        End all leases that are over.

        Raises DependencyUnavailable if the store is away. One that is only busy is left alone.
        """
        try:
            await self.expire_due()
        except Overloaded:
            log.info("lease_expiry_put_off")

    async def expire_due(self) -> int:
        """End all leases that are over; return how many were."""
        ended = 0
        while due := await self._store.due_turns():
            commands = (Expire(key, context=self._context) for key in due)
            outcomes = await asyncio.gather(*map(self._store.commit, commands))
            if not any(outcomes):
                break
            ended += sum(outcomes)
        return ended
