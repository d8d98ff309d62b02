"""Counts that outlive the process, summed over all replicas."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import structlog

from parley_services.kit.clock import Clock
from parley_services.kit.errors import Overloaded
from parley_services.semantic_cache.checks import store_away
from parley_services.semantic_cache.generation_locks import GenerationLock, GenerationLockStore
from parley_services.semantic_cache.statistics import MAX_KEYS, OVERFLOW, Counts, Key, Statistics
from parley_services.semantic_cache.store.store import StoreUnavailable

log = structlog.get_logger()

_HOLD_SECONDS: Final = 60.0
"""How long a place stays a process's own after its last write. A place that is free is taken by
the next process, so there are as many as there were processes at once, not as starts."""

_MAX_PLACES: Final = 256
_PLACES: Final = uuid.UUID("6f1b1b0a-6d0c-4a64-9a3e-0d2f1f2f6a51")


class StatisticsStore(Protocol):
    """Keeps counts in numbered places, each written by one process at a time."""

    async def read(
        self, *, place: int | None = None, tenant_id: str = ""
    ) -> Iterable[tuple[int, Key, Counts]]:
        """
        Return the counts of one *place* or of all, of one tenant or of all.

        Raises StoreUnavailable.
        """
        ...

    async def write(self, place: int, counts: Mapping[Key, Counts]) -> None:
        """
        Keep *counts* in *place*, in place of those of the same keys there.

        Raises StoreUnavailable, and then some may be kept; writing again is safe.
        """
        ...


class MemoryStatistics:
    """A StatisticsStore that ends with its process."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, Key], Counts] = {}

    async def read(
        self, *, place: int | None = None, tenant_id: str = ""
    ) -> list[tuple[int, Key, Counts]]:
        return [
            (number, key, counts)
            for (number, key), counts in self._counts.items()
            if place in (None, number) and tenant_id in ("", key[0])
        ]

    async def write(self, place: int, counts: Mapping[Key, Counts]) -> None:
        self._counts.update({(place, key): each for key, each in counts.items()})


class PersistedStatistics:
    """
    Adds what *statistics* counts to a place of its own in *store*.

    It takes the first place whose lock is free and goes on with the counts there. What was
    not written yet when a process is killed is lost: the last round. A process that was away
    for a minute may have lost its place; it takes another and loses nothing.
    """

    def __init__(
        self,
        statistics: Statistics,
        store: StatisticsStore,
        locks: GenerationLockStore,
        clock: Clock,
    ) -> None:
        self._statistics = statistics
        self._store = store
        self._locks = locks
        self._clock = clock
        self._holder = str(uuid.uuid4())
        self._place: int | None = None
        self._persisted: dict[Key, Counts] = {}

    async def persist(self) -> None:
        """
        Write what was counted since the last call. Raises StoreUnavailable.

        Not to be called twice at once.
        """
        counted = self._statistics.changed()
        if not counted and self._place is None:
            return
        if self._place is None or not await self._holds(self._place):
            self._place, self._persisted = None, {}
            self._place, self._persisted = await self._take()
        if not counted:
            return
        totals: dict[Key, Counts] = {}
        for key, counts in counted.items():
            if key not in self._persisted and len(self._persisted) + len(totals) >= MAX_KEYS:
                key = (OVERFLOW, OVERFLOW)
            if key not in totals:
                totals[key] = self._persisted.get(key, Counts()).copy()
            totals[key].add_all(counts)
        await self._store.write(self._place, totals)
        self._persisted.update(totals)
        self._statistics.subtract(counted)

    async def totals(self, tenant_id: str = "") -> dict[Key, Counts]:
        """
        Return the counts of all processes, of all time, sorted; only of *tenant_id* if given.

        Those of other processes as they last wrote them. Raises DependencyUnavailable.
        """
        totals: dict[Key, Counts] = {}
        try:
            kept = await self._store.read(tenant_id=tenant_id)
        except StoreUnavailable as error:
            raise store_away() from error
        # No await from here on: what is written next is neither missed nor counted twice.
        ours = [(key, each) for key, each in self._persisted.items() if tenant_id in ("", key[0])]
        unwritten = self._statistics.changed().items()
        for key, counts in (
            *((key, counts) for place, key, counts in kept if place != self._place),
            *ours,
            *((key, counts) for key, counts in unwritten if tenant_id in ("", key[0])),
        ):
            totals.setdefault(key, Counts()).add_all(counts)
        return dict(sorted(totals.items()))

    async def close(self) -> None:
        """Write what is left and leave the place to the next process; never raises."""
        try:
            await self.persist()
            if self._place is not None:
                await self._locks.release(self._lock(self._place))
        except StoreUnavailable:
            log.warning("cache_statistics_lost")

    async def _take(self) -> tuple[int, dict[Key, Counts]]:
        for place in range(_MAX_PLACES):
            if await self._holds(place):
                found = await self._store.read(place=place)
                return place, {key: counts for _, key, counts in found}
        raise StoreUnavailable("all places for statistics are taken")

    async def _holds(self, place: int) -> bool:
        now = self._clock.now().timestamp()
        try:
            lock = await self._locks.acquire(self._lock(place), now=now)
        except Overloaded as error:
            raise StoreUnavailable("there is no lock for a place of statistics") from error
        return lock.holder == self._holder

    def _lock(self, place: int) -> GenerationLock:
        return GenerationLock(
            key=str(uuid.uuid5(_PLACES, str(place))),
            holder=self._holder,
            tenant_id="",
            expire_time=self._clock.now().timestamp() + _HOLD_SECONDS,
        )
