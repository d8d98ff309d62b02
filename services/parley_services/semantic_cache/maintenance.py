"""What the cache does by itself at intervals: expiry, statistics, writing to disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from parley_services.kit.clock import Clock
from parley_services.semantic_cache.store.persisted_statistics import PersistedStatistics
from parley_services.semantic_cache.store.store import AnswerStore, StoreUnavailable

log = structlog.get_logger()


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

    A round that fails is logged, and the next one tries again. At the end the statistics are
    persisted once more.
    """

    async def loop() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await maintain(store, clock)
                await statistics.persist()
            except StoreUnavailable:
                log.warning("cache_maintenance_failed")

    task = asyncio.create_task(loop(), name="cache-maintenance")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        await statistics.close()
