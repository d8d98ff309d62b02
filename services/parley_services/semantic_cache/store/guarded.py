"""Leaves a store alone for a while once it has failed a few times in a row."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from parley_services.kit.clock import Clock
from parley_services.semantic_cache.entry import Candidate, Entry
from parley_services.semantic_cache.store.store import (
    AnswerStore,
    Selection,
    StoreUnavailable,
    Vector,
)
from parley_services.semantic_cache.verify.calibration import Observation

log = structlog.get_logger()

T = TypeVar("T")

Say = Callable[[bool], Awaitable[None]]
"""Is told whether the store can be used, when that changes."""


async def say_nothing(can_answer: bool) -> None:
    """Stand for a Say where nobody listens."""


class GuardedStore:
    """
    An AnswerStore with a circuit breaker around another.

    After *max_failures* calls in a row that failed, calls raise StoreUnavailable at once
    for *pause_seconds*; then the next one tries the store again. Since maintenance calls it
    every few seconds, the store is found again without anybody asking.
    """

    def __init__(
        self,
        store: AnswerStore,
        clock: Clock,
        *,
        say: Say = say_nothing,
        max_failures: int = 3,
        pause_seconds: float = 2.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._say = say
        self._max_failures = max_failures
        self._pause_seconds = pause_seconds
        self._failures = 0
        self._closed_until = float("-inf")

    async def get(self, entry_id: str) -> Entry | None:
        return await self._guard(lambda: self._store.get(entry_id))

    async def nearest(
        self, vector: Vector, selection: Selection, *, now: float, floor: float, limit: int
    ) -> list[Candidate]:
        return await self._guard(
            lambda: self._store.nearest(vector, selection, now=now, floor=floor, limit=limit)
        )

    async def put(self, entry: Entry, vector: Vector | None) -> None:
        await self._guard(lambda: self._store.put(entry, vector))

    async def learn(self, entry_id: str, observations: Sequence[Observation]) -> None:
        await self._guard(lambda: self._store.learn(entry_id, observations))

    async def remove(self, selection: Selection) -> int:
        return await self._guard(lambda: self._store.remove(selection))

    async def remove_expired(self, now: float) -> None:
        await self._guard(lambda: self._store.remove_expired(now))

    async def remove_oldest(self, selection: Selection, count: int) -> int:
        return await self._guard(lambda: self._store.remove_oldest(selection, count))

    async def count(self, selection: Selection) -> int:
        return await self._guard(lambda: self._store.count(selection))

    async def byte_count(self) -> int:
        return await self._guard(self._store.byte_count)

    async def maintain(self) -> None:
        await self._guard(self._store.maintain)

    async def _guard(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._failures >= self._max_failures:
            now = self._clock.monotonic()
            if now < self._closed_until:
                raise StoreUnavailable("the store is left alone after repeated failures")
            # One call tries; those that come meanwhile still fail at once.
            self._closed_until = now + self._pause_seconds
        try:
            result = await call()
        except StoreUnavailable:
            self._failures += 1
            if self._failures == self._max_failures:
                self._closed_until = self._clock.monotonic() + self._pause_seconds
                log.warning("cache_store_lost", breaker="open")
                await self._say(False)
            raise
        if self._failures:
            was_lost = self._failures >= self._max_failures
            self._failures = 0
            if was_lost:
                log.info("cache_store_back", breaker="closed")
                await self._say(True)
        return result
