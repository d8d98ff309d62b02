"""What every store of answers and every store of locks does alike."""

import os
import uuid
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from parley_services.semantic_cache.generation_locks import GenerationLock, MemoryGenerationLocks
from parley_services.semantic_cache.store.edge import open_edge_store
from parley_services.semantic_cache.store.qdrant import open_qdrant_store
from parley_services.semantic_cache.store.qdrant_locks import QdrantGenerationLocks
from parley_services.semantic_cache.store.store import Selection
from parley_services.semantic_cache.verify.calibration import Observation
from qdrant_client import AsyncQdrantClient

from tests.support.qdrant_server import qdrant_server
from tests.support.semantic_cache import PARTITION, ListStore, entry

SERVER_URL = os.environ.get("PARLEY_QDRANT_URL", "")
SERVERS = ["qdrant_wire", *(["qdrant_server"] if SERVER_URL else [])]

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local")

NEAR = [0.99, 0.1, 0.0]
FAR = [0.0, 0.0, 1.0]
ACME = Selection(tenant_id="acme")


@asynccontextmanager
async def _client(name):
    if name == "qdrant_server":
        client = AsyncQdrantClient(SERVER_URL, prefer_grpc=True, check_compatibility=False)
        try:
            yield client
        finally:
            await client.close()
        return
    async with qdrant_server() as server:
        client = AsyncQdrantClient(
            host="127.0.0.1", grpc_port=server.port, prefer_grpc=True, check_compatibility=False
        )
        try:
            yield client
        finally:
            await client.close()


@pytest.fixture(params=["list", "edge", *SERVERS])
async def store(request, tmp_path):
    if request.param == "list":
        yield ListStore()
    elif request.param == "edge":
        async with open_edge_store(tmp_path / "answers", dimension=3) as store:
            yield store
    else:
        collection = f"test_{uuid.uuid4().hex}"
        async with (
            _client(request.param) as client,
            open_qdrant_store(client, collection, dimension=3) as store,
        ):
            yield store
            await client.delete_collection(collection)


@pytest.fixture(params=["memory", *SERVERS])
async def locks(request):
    if request.param == "memory":
        yield MemoryGenerationLocks()
    else:
        collection = f"test_{uuid.uuid4().hex}"
        async with _client(request.param) as client:
            yield QdrantGenerationLocks(client, collection)
            await client.delete_collection(collection)


def in_partition(**changes):
    return replace(PARTITION, **changes)


async def found(store, selection=ACME, *, vector=NEAR, now=0.0, floor=0.5, limit=10):
    candidates = await store.nearest(vector, selection, now=now, floor=floor, limit=limit)
    return [each.entry.text for each in candidates]


async def test_an_entry_comes_back_as_it_was(store):
    kept = entry(tags=("faq", "en"), create_time=12.5)
    await store.put(kept, NEAR)
    assert await store.get(kept.entry_id) == kept


async def test_an_unknown_id_is_none(store):
    assert await store.get(entry().entry_id) is None


async def test_the_same_id_replaces(store):
    await store.put(entry(answer="old"), NEAR)
    await store.put(entry(answer="new"), NEAR)
    assert (await store.get(entry().entry_id)).answer.text == "new"
    assert await store.count(ACME) == 1


async def test_candidates_come_best_first_above_the_floor(store):
    await store.put(entry("near"), NEAR)
    await store.put(entry("same"), [1.0, 0.0, 0.0])
    await store.put(entry("far"), FAR)
    candidates = await store.nearest([1.0, 0.0, 0.0], ACME, now=0.0, floor=0.5, limit=10)
    assert [each.entry.text for each in candidates] == ["same", "near"]
    assert candidates[0].similarity == pytest.approx(1.0, abs=1e-5)
    assert candidates[1].similarity == pytest.approx(0.99494, abs=1e-3)


async def test_the_limit_holds(store):
    for number in range(5):
        await store.put(entry(f"text {number}"), NEAR)
    assert len(await found(store, limit=2)) == 2


async def test_an_entry_without_a_vector_is_found_by_id_only(store):
    kept = entry()
    await store.put(kept, None)
    assert await found(store, floor=0.0) == []
    assert await store.get(kept.entry_id) == kept


async def test_an_expired_entry_is_no_candidate(store):
    await store.put(entry(expire_time=100.0), NEAR)
    assert await found(store, now=99.0) != []
    assert await found(store, now=100.0) == []


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_id": "umbrella"},
        {"user_id": "u1"},
        {"template": "other"},
        {"template_version": 4},
        {"model_class": "large"},
        {"fingerprint": b"\x02" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_partition_shares_nothing(store, change):
    other = in_partition(**change)
    await store.put(entry("theirs", partition=other), NEAR)
    await store.put(entry("ours"), NEAR)
    ours = Selection(tenant_id="acme", partition=PARTITION)
    assert await found(store, ours) == ["ours"]


async def test_a_tenant_sees_its_partitions_only(store):
    await store.put(entry("one"), NEAR)
    await store.put(entry("two", partition=in_partition(template="b")), NEAR)
    await store.put(entry("three", partition=in_partition(tenant_id="umbrella")), NEAR)
    assert sorted(await found(store)) == ["one", "two"]
    assert await store.count(ACME) == 2
    assert await store.count(Selection(tenant_id="")) == 3


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        ({"entry_id": entry("one").entry_id}, ["three", "two"]),
        ({"template": "b"}, ["one", "two"]),
        ({"template": "general_chat", "template_version": 3}, ["three", "two"]),
        ({"tag": "faq"}, ["one", "three"]),
        ({}, []),
    ],
)
async def test_removing_by_each_condition(store, selection, left):
    await store.put(entry("one"), NEAR)
    newer = in_partition(template_version=4)
    await store.put(entry("two", partition=newer, tags=("faq", "en")), NEAR)
    await store.put(entry("three", partition=in_partition(template="b")), NEAR)
    await store.put(entry("theirs", partition=in_partition(tenant_id="umbrella")), NEAR)
    removed = await store.remove(Selection(tenant_id="acme", **selection))
    assert removed == 3 - len(left)
    assert sorted(await found(store)) == left
    assert await store.count(Selection(tenant_id="umbrella")) == 1


async def test_expired_entries_of_all_tenants_go(store):
    await store.put(entry("old", expire_time=10.0), NEAR)
    theirs = in_partition(tenant_id="umbrella")
    await store.put(entry("old too", partition=theirs, expire_time=20.0), NEAR)
    await store.put(entry("new", expire_time=30.0), NEAR)
    await store.remove_expired(20.0)
    assert await store.count(Selection(tenant_id="")) == 1


async def test_the_oldest_of_a_tenant_go_first(store):
    for number in range(4):
        await store.put(entry(f"text {number}", create_time=float(number)), NEAR)
    theirs = in_partition(tenant_id="umbrella")
    await store.put(entry("theirs", partition=theirs, create_time=-1.0), NEAR)
    assert await store.remove_oldest(ACME, 2) == 2
    assert sorted(await found(store)) == ["text 2", "text 3"]
    assert await store.remove_oldest(ACME, 10) == 2
    assert await store.count(Selection(tenant_id="umbrella")) == 1


async def test_what_an_entry_learnt_is_kept_with_it(store):
    kept = entry()
    await store.put(kept, NEAR)
    learnt = (Observation(score=2.5, correct=True), Observation(score=-1.0, correct=False))
    await store.learn(kept.entry_id, learnt)
    [candidate] = await store.nearest(NEAR, ACME, now=0.0, floor=0.5, limit=1)
    assert candidate.entry == replace(kept, observations=learnt)
    await store.learn(kept.entry_id, learnt[1:])
    assert (await store.get(kept.entry_id)).observations == learnt[1:]


async def test_an_entry_that_is_gone_learns_nothing(store):
    await store.put(entry("other"), NEAR)
    await store.learn(entry().entry_id, [Observation(score=2.5, correct=True)])
    assert await store.get(entry().entry_id) is None
    assert (await store.get(entry("other").entry_id)).observations == ()


async def test_maintenance_loses_nothing(store):
    await store.put(entry(), NEAR)
    await store.maintain()
    assert await store.count(ACME) == 1
    assert await store.byte_count() >= 0


def lock(holder="r1", **fields):
    return GenerationLock(
        **{
            "key": entry().entry_id,
            "holder": holder,
            "tenant_id": "acme",
            "expire_time": 10.0,
            **fields,
        }
    )


async def test_one_holder_at_a_time(locks):
    assert await locks.acquire(lock("r1"), now=0.0) == lock("r1")
    assert await locks.acquire(lock("r2", expire_time=99.0), now=5.0) == lock("r1")


async def test_a_holder_extends_its_lock(locks):
    await locks.acquire(lock("r1"), now=0.0)
    longer = lock("r1", expire_time=20.0)
    assert await locks.acquire(longer, now=5.0) == longer
    assert await locks.acquire(lock("r2"), now=15.0) == longer


async def test_an_expired_lock_is_free(locks):
    await locks.acquire(lock("r1"), now=0.0)
    later = lock("r2", expire_time=20.0)
    assert await locks.acquire(later, now=10.0) == later


async def test_a_lock_given_back_is_free_and_giving_back_twice_is_nothing(locks):
    await locks.acquire(lock("r1"), now=0.0)
    await locks.release(lock("r1"))
    await locks.release(lock("r1"))
    assert await locks.acquire(lock("r2"), now=0.0) == lock("r2")


@pytest.mark.parametrize("change", [{"holder": "r2"}, {"tenant_id": "umbrella"}])
async def test_nobody_else_gives_a_lock_back(locks, change):
    await locks.acquire(lock("r1"), now=0.0)
    await locks.release(lock(**change))
    assert await locks.acquire(lock("r3"), now=0.0) == lock("r1")
