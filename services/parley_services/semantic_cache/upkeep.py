"""What the cache does by itself, over and over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from parley_services.kit.clock import Clock
from parley_services.semantic_cache.store.persisted_statistics import KeptStatistics
from parley_services.semantic_cache.store.store import AnswerStore, StoreUnavailable

log = structlog.get_logger()


async def tidy(store: AnswerStore, clock: Clock) -> None:
    """Remove expired entries and write the rest to disk. Raises StoreUnavailable."""
    await store.remove_expired(clock.now().timestamp())
    await store.maintain()


@asynccontextmanager
async def keeping_tidy(
    store: AnswerStore, statistics: KeptStatistics, clock: Clock, *, seconds: float
) -> AsyncIterator[None]:
    """
    Tidy *store* and keep *statistics* every so many *seconds* while the context lasts.

    A failure waits a round. At the end the statistics are kept once more.
    """

    async def loop() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await tidy(store, clock)
                await statistics.keep()
            except StoreUnavailable:
                log.warning("cache_upkeep_failed")

    task = asyncio.create_task(loop(), name="cache-upkeep")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        await statistics.give_up()
