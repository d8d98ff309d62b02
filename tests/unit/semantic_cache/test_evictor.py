from dataclasses import replace

import pytest
from parley_services.semantic_cache.evictor import Evictor

from tests.support.semantic_cache import PARTITION, ListStore, entry


@pytest.fixture
def store():
    return ListStore()


async def test_it_counts_once_in_a_while(store):
    evictor = Evictor(store, capacity=1_000)
    for _ in range(22):
        await evictor.make_room("acme", 1_000)
    # The first, and then one of eleven, of the tenant and of all.
    assert store.calls == ["count"] * 4


async def test_it_remembers_a_bounded_number_of_tenants(store):
    evictor = Evictor(store, capacity=1_000, max_tenants=3)
    for number in range(10):
        await evictor.make_room(f"t{number}", 1_000)
    assert len(evictor._since_count) <= 4


async def test_a_forgotten_tenant_is_still_kept_within_its_capacity(store):
    evictor = Evictor(store, capacity=1_000, max_tenants=1)
    for number in range(9):
        await store.put(entry(f"text {number}", create_time=float(number)), None)
        theirs = replace(PARTITION, tenant_id=f"t{number}")
        await store.put(entry("theirs", partition=theirs), None)
        await evictor.make_room(f"t{number}", 8)
        await evictor.make_room("acme", 8)
    assert len([each for each in store.entries.values() if each.partition == PARTITION]) == 7
