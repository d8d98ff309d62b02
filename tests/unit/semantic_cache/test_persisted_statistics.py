import pytest
from parley_services.kit.errors import DependencyUnavailable, Overloaded
from parley_services.semantic_cache.generation_locks import MemoryGenerationLocks
from parley_services.semantic_cache.outcome import Miss, MissReason
from parley_services.semantic_cache.statistics import OVERFLOW, Counts, Statistics
from parley_services.semantic_cache.store.file_statistics import FileStatistics
from parley_services.semantic_cache.store.persisted_statistics import (
    MemoryStatistics,
    PersistedStatistics,
)
from parley_services.semantic_cache.store.store import StoreUnavailable

from tests.support.clock import ManualClock

KEY = ("acme", "faq")


class FailingStatistics(MemoryStatistics):
    """Fails while *away*; with *late* what it fails to write is kept all the same."""

    def __init__(self):
        super().__init__()
        self.away = False
        self.late = False
        self.writes = 0

    async def read(self, **selected):
        if self.away:
            raise StoreUnavailable("away")
        return await super().read(**selected)

    async def write(self, place, counts):
        self.writes += 1
        if not self.away or self.late:
            await super().write(place, counts)
        if self.away:
            raise StoreUnavailable("away")


class Process:
    """One cache process that counts."""

    def __init__(self, store, locks, clock):
        self.statistics = Statistics()
        self.persisted = PersistedStatistics(self.statistics, store, locks, clock)

    def count(self, tenant_id="acme"):
        self.statistics.of(tenant_id, "faq").add(Miss(reason=MissReason.REFUSED, refusal="code"))

    async def lookups(self, tenant_id=""):
        totals = await self.persisted.totals(tenant_id)
        return {key: counts.lookups for key, counts in totals.items()}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store():
    return FailingStatistics()


@pytest.fixture
def start(store, clock):
    """Starts a process: `start()`."""
    locks = MemoryGenerationLocks()
    return lambda: Process(store, locks, clock)


async def test_counts_come_back_after_a_kill_up_to_the_last_round(start, clock):
    killed = start()
    killed.count()
    await killed.persisted.persist()
    killed.count()
    next_one = start()
    assert await next_one.lookups() == {KEY: 1}
    clock.advance(61)
    next_one.count()
    await next_one.persisted.persist()
    assert await next_one.lookups() == {KEY: 2}


async def test_a_process_that_ends_well_loses_nothing_and_leaves_its_place(start, store):
    for _ in range(3):
        process = start()
        process.count()
        await process.persisted.close()
    assert await start().lookups() == {KEY: 3}
    assert [place for place, _, _ in await store.read()] == [0]


async def test_processes_at_once_are_summed(start, store):
    one, other = start(), start()
    for process in (one, other, other):
        process.count()
        await process.persisted.persist()
    assert await one.lookups() == await other.lookups() == {KEY: 3}
    assert [place for place, _, _ in await store.read()] == [0, 1]
    totals = await one.persisted.totals()
    assert totals[KEY].refusals == {"code": 3}
    assert totals[KEY].miss_reasons == {"refused": 3}


async def test_a_process_that_slept_too_long_takes_another_place(start, clock):
    sleeper, other = start(), start()
    sleeper.count()
    await sleeper.persisted.persist()
    clock.advance(61)
    other.count()
    await other.persisted.persist()
    sleeper.count()
    await sleeper.persisted.persist()
    assert await sleeper.lookups() == await other.lookups() == {KEY: 3}


@pytest.mark.parametrize("late", [False, True])
async def test_a_store_that_fails_neither_loses_nor_doubles(start, store, late):
    process = start()
    process.count()
    await process.persisted.persist()
    store.away, store.late = True, late
    process.count()
    with pytest.raises(StoreUnavailable):
        await process.persisted.persist()
    with pytest.raises(DependencyUnavailable):
        await process.lookups()
    await process.persisted.close()
    store.away = False
    await process.persisted.persist()
    assert await process.lookups() == {KEY: 2}


async def test_nothing_is_written_where_nothing_was_counted(start, store):
    process = start()
    await process.persisted.persist()
    process.count()
    await process.persisted.persist()
    await process.persisted.persist()
    assert store.writes == 1


async def test_what_is_counted_while_it_is_written_is_not_lost(start, store):
    process = start()
    process.count()
    counts = process.statistics.of(*KEY)
    write = store.write

    async def slow(place, totals):
        await write(place, totals)
        counts.misses += 1

    store.write = slow
    await process.persisted.persist()
    assert await process.lookups() == {KEY: 2}


async def test_only_the_tenant_that_is_asked_for(start):
    process = start()
    process.count("acme")
    await process.persisted.persist()
    process.count("umbrella")
    process.count("acme")
    assert await process.lookups("acme") == {KEY: 2}
    assert await process.lookups() == {KEY: 2, ("umbrella", "faq"): 1}


async def test_a_place_holds_no_more_keys_than_a_process_counts(start, monkeypatch):
    monkeypatch.setattr("parley_services.semantic_cache.store.persisted_statistics.MAX_KEYS", 2)
    process = start()
    for tenant_id in ("a", "b", "c", "d"):
        process.count(tenant_id)
        await process.persisted.persist()
    assert await process.lookups() == {
        (OVERFLOW, OVERFLOW): 2,
        ("a", "faq"): 1,
        ("b", "faq"): 1,
    }


async def test_without_a_place_the_counts_wait(store, clock):
    class NoLocks:
        async def acquire(self, lock, *, now):
            raise Overloaded("Too many.", retry_after_seconds=1.0)

    process = Process(store, NoLocks(), clock)
    process.count()
    with pytest.raises(StoreUnavailable):
        await process.persisted.persist()
    assert await process.lookups() == {KEY: 1}


async def test_a_file_keeps_what_it_was_given(tmp_path):
    path = tmp_path / "statistics.json"
    counts = Counts(exact_hits=2, misses=1, saved_cost_nano_usd=2**40)
    counts.refusals["code"] += 1
    await FileStatistics(path).write(0, {KEY: Counts(misses=1)})
    await FileStatistics(path).write(0, {KEY: counts, ("b", ""): Counts(stores=1)})
    assert await FileStatistics(path).read(tenant_id="acme") == [(0, KEY, counts)]
    assert len(await FileStatistics(path).read(place=0)) == 2
    assert await FileStatistics(path).read(place=1) == []


@pytest.mark.parametrize("text", [b"", b"{}x", b"[1]", b'[[0,"a","b",7]]'])
async def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path, text):
    path = tmp_path / "statistics.json"
    path.write_bytes(text)
    assert await FileStatistics(path).read() == []


async def test_a_folder_that_cannot_be_written_is_a_store_that_is_away(tmp_path):
    store = FileStatistics(tmp_path / "none" / "statistics.json")
    with pytest.raises(StoreUnavailable):
        await store.write(0, {KEY: Counts(misses=1)})
    assert await store.read() == []


def test_what_a_later_release_counts_is_left_out():
    assert Counts.of({"misses": 2, "wonders": 3}) == Counts(misses=2)
