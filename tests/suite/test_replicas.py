"""Two orchestrators over one of everything else."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from parley.accounting.v1 import accounting_service_pb2 as accounting_pb2
from parley.accounting.v1 import accounting_service_pb2_grpc as accounting_grpc
from parley.chat.v1 import answer_pb2, subject_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley_client import Parley, ParleyError

from tests.support.processes import KEY, suite
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def replicas():
    """The addresses of two orchestrators that share their peers."""
    environment = {
        # A slow machine is not what is tested here.
        "PARLEY_ORCHESTRATOR_ACCOUNTING_TIMEOUT_SECONDS": "60",
        "PARLEY_ORCHESTRATOR_SEMANTIC_CACHE_TIMEOUT_SECONDS": "60",
        "PARLEY_SEMANTIC_CACHE_STORE_TIMEOUT_SECONDS": "60",
        "PARLEY_MODEL_ROUTER_SIMULATED_FIRST_TOKEN_SECONDS": "1",
        "PARLEY_ACCOUNTING_USER_REQUESTS_PER_MINUTE": "0",
        "PARLEY_ORCHESTRATOR_COALESCE_WAIT_SECONDS": "60",
        # Nothing but the watch tells that a key was revoked.
        "PARLEY_ACCOUNTING_KEY_MAX_AGE_SECONDS": "3600",
    }
    with suite(apart=True, environment=environment) as running:
        running.start_replica("orchestrator")
        yield running


@asynccontextmanager
async def clients(replicas, api_key):
    """A client of each replica."""
    one, two = replicas.addresses["orchestrator"], replicas.addresses["orchestrator-2"]
    async with Parley(one, api_key=api_key) as first, Parley(two, api_key=api_key) as second:
        yield first, second


async def test_a_hundred_identical_chats_at_once_are_paid_once(replicas):
    # A user each: a hundred reservations at once would be over one user's daily budget. One
    # version for all: an experiment would give some users another.
    requests = [pb.ChatRequest(user_id=f"user-{n}", template_version=1) for n in range(100)]
    async with clients(replicas, KEY) as both:
        streams = [
            both[n % 2].chat("Why is the sky blue?", request=request)
            for n, request in enumerate(requests)
        ]
        await asyncio.gather(*(stream.read() for stream in streams))
    completed = [stream.completed for stream in streams]
    assert len({stream.answer for stream in streams}) == 1
    sources = [each.source for each in completed]
    assert sources.count(answer_pb2.ANSWER_SOURCE_MODEL) == 1
    assert sum(each.attempt_count for each in completed) == 1
    assert {sources[n] for n in range(100)} <= {
        answer_pb2.ANSWER_SOURCE_MODEL,
        answer_pb2.ANSWER_SOURCE_COALESCED,
        answer_pb2.ANSWER_SOURCE_CACHE_EXACT,
    }


async def test_a_revoked_key_is_refused_by_every_replica(replicas):
    async with grpc.aio.insecure_channel(replicas.addresses["accounting"]) as channel:
        stub = accounting_grpc.AccountingServiceStub(channel)
        made = await stub.CreateKey(
            accounting_pb2.CreateKeyRequest(
                subject=subject_pb2.Subject(tenant_id="default", user_id="ada"),
                scopes=[accounting_pb2.KEY_SCOPE_CHAT],
            ),
            timeout=30,
        )
        async with clients(replicas, made.secret) as both:
            for client in both:
                await client.chat("Hello").read()
            await stub.RevokeKey(
                accounting_pb2.RevokeKeyRequest(key_id=made.key.key_id), timeout=30
            )

            async def is_refused(client):
                try:
                    await client.chat("Hello").read()
                except ParleyError as error:
                    return error.reason == "ERROR_REASON_KEY_INVALID"
                return False

            for client in both:
                await eventually(lambda client=client: is_refused(client))
