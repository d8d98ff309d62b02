import pytest
from parley_services.semantic_cache.store.guarded import GuardedStore
from parley_services.semantic_cache.store.store import StoreUnavailable

from tests.support.clock import ManualClock
from tests.support.semantic_cache import ListStore, entry


@pytest.fixture
def heard():
    return []


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def lost(heard, clock):
    """A store that is away, and its guard with the breaker open."""

    async def say(can_answer):
        heard.append(can_answer)

    store = ListStore(away=True)
    return store, GuardedStore(store, clock, say=say, max_failures=3, pause_seconds=2.0)


async def fail(guard, times):
    for _ in range(times):
        with pytest.raises(StoreUnavailable):
            await guard.get(entry().entry_id)


async def test_a_store_that_fails_thrice_is_left_alone(lost, heard):
    store, guard = lost
    await fail(guard, 5)
    assert store.calls == ["get"] * 3
    assert heard == [False]


async def test_it_is_tried_once_in_a_while(lost, clock):
    store, guard = lost
    await fail(guard, 3)
    clock.advance(2.0)
    await fail(guard, 3)
    assert store.calls == ["get"] * 4


async def test_it_is_used_again_once_it_is_back(lost, clock, heard):
    store, guard = lost
    await fail(guard, 3)
    store.away = False
    clock.advance(2.0)
    await guard.remove_expired(0.0)
    assert await guard.get(entry().entry_id) is None
    assert heard == [False, True]


async def test_a_success_between_failures_starts_the_count_again(lost, heard):
    store, guard = lost
    for _ in range(3):
        store.away = True
        await fail(guard, 2)
        store.away = False
        await guard.get(entry().entry_id)
    assert heard == []
