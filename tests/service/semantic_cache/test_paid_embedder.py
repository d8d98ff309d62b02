"""What a paid embedder costs reaches the ledger."""

import json
from contextlib import asynccontextmanager

import pytest
from parley.accounting.v1 import accounting_service_pb2 as accounting_pb2
from parley.accounting.v1 import accounting_service_pb2_grpc as accounting_grpc
from parley.chat.v1 import answer_pb2, attempt_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as pb_grpc
from parley_services.kit.rpc.server import StartRefused
from parley_services.semantic_cache.app import open_semantic_cache
from parley_services.semantic_cache.settings import SemanticCacheSettings

from tests.support.provider_server import Reply, provider_server
from tests.support.serving import served
from tests.support.waiting import until

PARTITION = pb.Partition(tenant_id="acme", template="chat", template_version=1)


class Ledger(accounting_grpc.AccountingServiceServicer):
    def __init__(self):
        self.told = []

    async def ReportAttempts(self, request, context):
        self.told += request.attempts
        return accounting_pb2.ReportAttemptsResponse(booked_count=len(request.attempts))


def settings_for(folder, **fields):
    return SemanticCacheSettings(
        data_dir=folder,
        embedder="openai",
        openai_dimension=8,
        openai_timeout_seconds=0.5,
        maintenance_interval_seconds=0.01,
        **fields,
    )


@asynccontextmanager
async def opened(folder, ledger, **fields):
    def register(server):
        accounting_grpc.add_AccountingServiceServicer_to_server(ledger, server)

    async with (
        served("in_process", register) as accounting,
        open_semantic_cache(settings_for(folder, **fields), accounting=accounting) as cache,
        served("in_process", cache) as channel,
    ):
        yield pb_grpc.SemanticCacheServiceStub(channel)


async def test_a_lookup_and_its_store_are_one_embedding_of_the_turn(tmp_path):
    answer = {"data": [{"embedding": [1.0] * 8}], "usage": {"prompt_tokens": 500}}
    reply = Reply(chunks=[json.dumps(answer).encode()], content_type="application/json")
    ledger = Ledger()
    async with provider_server(reply) as server:
        async with opened(tmp_path, ledger, openai_base_url=f"{server.url}/v1") as stub:
            asked = {"request_id": "r1", "partition": PARTITION, "text": "What is a quay?"}
            await stub.Lookup(pb.LookupRequest(**asked), timeout=60)
            stored = pb.Answer(text="A wharf.", finish_reason=answer_pb2.FINISH_REASON_STOP)
            await stub.Store(pb.StoreRequest(answer=stored, **asked), timeout=60)
            await until(lambda: ledger.told)
        assert len(server.requests) == 1
    (told,) = ledger.told
    assert (told.request_id, told.subject.tenant_id) == ("r1", "acme")
    assert told.attempt.kind == attempt_pb2.ATTEMPT_KIND_EMBEDDING
    assert told.attempt.usage.input_token_count == 500
    # text-embedding-3-small: 0.02 dollars a million tokens.
    assert told.attempt.cost_nano_usd == 10_000


async def test_an_embedder_without_a_price_does_not_start(tmp_path):
    with pytest.raises(StartRefused, match="nobody knows what own-model costs"):
        async with opened(tmp_path, Ledger(), openai_model="own-model"):
            pass


async def test_an_own_endpoint_is_given_its_price(tmp_path):
    fields = {"openai_model": "own-model", "openai_price_usd_per_million": 0}
    async with opened(tmp_path, Ledger(), **fields) as stub:
        await stub.GetStats(pb.GetStatsRequest(), timeout=60)
