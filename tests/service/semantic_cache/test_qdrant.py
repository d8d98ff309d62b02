"""The service with a Qdrant server behind it, over gRPC."""

import pytest
from parley.chat.v1 import answer_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb

from tests.support.qdrant_server import qdrant_server
from tests.support.semantic_cache import TableEmbedder
from tests.support.waiting import eventually

PARTITION = pb.Partition(tenant_id="acme", template="chat", fingerprint=b"f" * 32)
STORED, ASKED = "How do I reset my password?", "How can I reset my password?"


@pytest.fixture
async def server():
    async with qdrant_server() as server:
        yield server


@pytest.fixture
def replica(serve, server):
    """Opens one more cache on the server: `await replica(say=, embedder=, **settings)`."""

    async def replica(*, say=None, embedder=None, **settings):
        doubles = {"say": say, "embedder": embedder}
        return await serve(
            doubles={name: each for name, each in doubles.items() if each is not None},
            store="qdrant",
            qdrant_url="http://127.0.0.1:1",
            qdrant_grpc_port=server.port,
            **settings,
        )

    return replica


@pytest.fixture
def stop(closing):
    """Stops all replicas as a drain does."""
    return closing.aclose


@pytest.fixture
def heard():
    return []


@pytest.fixture
def say(heard):
    async def say(can_answer):
        heard.append(can_answer)

    return say


async def store(stub, text=STORED):
    answer = pb.Answer(text="An answer.", finish_reason=answer_pb2.FINISH_REASON_STOP)
    request = pb.StoreRequest(request_id="r0", partition=PARTITION, text=text, answer=answer)
    return await stub.Store(request, timeout=60)


async def look_up(stub, text=ASKED):
    return await stub.Lookup(pb.LookupRequest(partition=PARTITION, text=text), timeout=60)


async def test_replicas_share_what_each_stores(replica):
    one, other = await replica(), await replica()
    kept = await store(one)
    assert (await look_up(other)).hit.entry_id == kept.entry_id
    purged = await other.PurgeEntries(pb.PurgeEntriesRequest(tenant_id="acme"), timeout=60)
    assert purged.removed_count == 1
    assert (await look_up(one)).HasField("miss")


async def test_a_cache_starts_without_its_server_and_uses_it_once_it_is_there(
    replica, server, say, heard, clock
):
    server.away = True
    stub = await replica(say=say)
    for _ in range(4):
        response = await look_up(stub)
        assert response.miss.reason == pb.MISS_REASON_STORE_UNAVAILABLE
    assert heard == [False]
    assert len(server.calls) == 3
    server.away = False
    clock.advance(2.0)
    await store(stub)
    assert (await look_up(stub)).HasField("hit")
    assert heard == [False, True]


async def test_a_server_that_does_not_answer_in_time_is_a_miss_and_left_alone(
    replica, server, say, heard, clock
):
    stub = await replica(say=say, store_timeout_seconds=0.05)
    await store(stub)
    server.answers.clear()
    for _ in range(3):
        response = await look_up(stub)
        assert response.miss.reason == pb.MISS_REASON_STORE_UNAVAILABLE
    assert heard == [False]
    asked = len(server.calls)
    await look_up(stub)
    assert len(server.calls) == asked
    server.answers.set()
    clock.advance(2.0)
    await store(stub)
    assert heard == [False, True]


async def test_another_embedder_gets_a_collection_of_its_own(replica, server):
    first = await replica()
    await store(first)
    second = await replica(embedder=TableEmbedder())
    assert (await look_up(second, STORED)).HasField("miss")
    await store(second)
    collections = {each.name for each in (await server.engine.get_collections()).collections}
    assert collections == {"parley_answers_wordllama-256", "parley_answers_table-3"}
    assert (await look_up(first)).HasField("hit")


async def statistics_of(stub):
    stats = await stub.GetStats(pb.GetStatsRequest(tenant_id="acme"), timeout=60)
    [counts] = stats.partitions
    return counts


async def places_of(server):
    points, _ = await server.engine.scroll("parley_answers_statistics", limit=100)
    return sorted(point.payload["place"] for point in points)


async def test_statistics_are_those_of_all_replicas_over_restarts(replica, stop, server):
    one, other = await replica(), await replica()
    await store(one)
    for stub in (one, other, other):
        await look_up(stub)
    # Its own counts are there at once, those of others as they last wrote them.
    assert (await statistics_of(other)).lookup_count == 2
    await stop()
    third = await replica()
    counts = await statistics_of(third)
    assert (counts.lookup_count, counts.semantic_hit_count, counts.store_count) == (3, 3, 1)
    await look_up(third)
    await stop()
    assert (await statistics_of(await replica())).lookup_count == 4
    # They ended one after the other, so one place was enough.
    assert await places_of(server) == [0]


async def test_replicas_at_once_keep_statistics_in_places_of_their_own(replica, server):
    one, other = [await replica(maintenance_interval_seconds=0.01) for _ in range(2)]
    for stub in (one, other, other):
        await look_up(stub)

    async def summed():
        return {(await statistics_of(stub)).lookup_count for stub in (one, other)} == {3}

    assert await eventually(summed)
    assert await places_of(server) == [0, 1]


async def test_of_two_replicas_one_gets_the_lock(replica):
    def request(request_id):
        message = pb.LookupRequest(request_id=request_id, partition=PARTITION, text=STORED)
        message.lock_ttl.FromSeconds(30)
        return message

    one, other = await replica(), await replica()
    leader = (await one.Lookup(request("r1"), timeout=60)).miss
    waiting = (await other.Lookup(request("r2"), timeout=60)).miss
    assert leader.lock_id
    assert waiting.HasField("lock_expire_time")
    await one.ReleaseGenerationLock(
        pb.ReleaseGenerationLockRequest(tenant_id="acme", lock_id=leader.lock_id), timeout=60
    )
    assert (await other.Lookup(request("r2"), timeout=60)).miss.lock_id
