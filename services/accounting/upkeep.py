"""Ends reservations whose time is over, and says whether the store can be reached."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from services.accounting.books import LedgerStore
from services.accounting.expiring import Expire
from services.accounting.moment import Moment, Timekeeper
from services.accounting.terms import Terms
from services.accounting.turns import TurnKey
from services.kit.errors import DependencyUnavailable, Overloaded

Say = Callable[[bool], Awaitable[None]]
"""Hears whether the store can be reached."""


class ExpiringStore(LedgerStore, Protocol):
    """A store that finds the turns whose lease is over."""

    async def due_turns(self, moment: Moment) -> list[TurnKey]:
        """Return running turns whose lease is over. Raises DependencyUnavailable."""
        ...


async def expire_due(store: ExpiringStore, terms: Terms, timekeeper: Timekeeper) -> int:
    """Book every turn whose lease is over at its best estimate; return how many there were."""
    count = 0
    while due := await store.due_turns(timekeeper.moment()):
        ended = await asyncio.gather(
            *(store.commit(Expire(key, terms=terms, moment=timekeeper.moment())) for key in due)
        )
        if not any(ended):
            break
        count += sum(ended)
    return count


@asynccontextmanager
async def expiring(
    store: ExpiringStore, terms: Terms, timekeeper: Timekeeper, *, every_seconds: float, say: Say
) -> AsyncIterator[None]:
    """Look for turns that are over now and *every_seconds*, while the context lasts."""

    async def rounds() -> None:
        while True:
            try:
                await expire_due(store, terms, timekeeper)
                await say(True)
            except Overloaded:
                pass  # The store is there, and busy; the next round will do.
            except DependencyUnavailable:
                await say(False)
            await asyncio.sleep(every_seconds)

    task = asyncio.create_task(rounds())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
