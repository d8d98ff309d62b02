"""What the cache does by itself at intervals: expiry, statistics, writing to disk."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley_services.kit.background import every
from parley_services.kit.clock import Clock
from parley_services.semantic_cache.store.persisted_statistics import PersistedStatistics
from parley_services.semantic_cache.store.store import AnswerStore


async def maintain(store: AnswerStore, clock: Clock) -> None:
    """Remove expired entries and write the rest to disk. Raises StoreUnavailable."""
    await store.remove_expired(clock.now().timestamp())
    await store.maintain()


@asynccontextmanager
async def maintained(
    store: AnswerStore, statistics: PersistedStatistics, clock: Clock, *, seconds: float
) -> AsyncIterator[None]:
    """
    Maintain *store* and persist *statistics* every *seconds* while the context lasts.

    At the end the statistics are persisted once more.
    """

    async def run() -> None:
        await maintain(store, clock)
        await statistics.persist()

    try:
        async with every(seconds, run, name="cache_maintenance"):
            yield
    finally:
        await statistics.close()
