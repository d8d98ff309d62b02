"""Two orchestrators over one of everything else."""

import asyncio

import pytest
from parley.chat.v1 import chat_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley_client import Parley

from tests.support.processes import KEY, suite


@pytest.fixture(scope="module")
def replicas():
    """The addresses of two orchestrators that share their peers."""
    environment = {
        # A slow machine is not what is tested here.
        "PARLEY_ORCHESTRATOR_SEMANTIC_CACHE_TIMEOUT_SECONDS": "60",
        "PARLEY_SEMANTIC_CACHE_STORE_TIMEOUT_SECONDS": "60",
        "PARLEY_MODEL_ROUTER_SIMULATED_FIRST_TOKEN_SECONDS": "1",
        "PARLEY_ACCOUNTING_USER_REQUESTS_PER_MINUTE": "0",
        "PARLEY_ORCHESTRATOR_COALESCE_WAIT_SECONDS": "60",
    }
    with suite(apart=True, environment=environment) as running:
        yield running.address, running.start_replica("orchestrator")


@pytest.fixture
async def clients(replicas):
    async with Parley(replicas[0], api_key=KEY) as one, Parley(replicas[1], api_key=KEY) as two:
        yield one, two


async def test_a_hundred_identical_chats_at_once_are_paid_once(clients):
    # A user each: a hundred reservations at once would be over one user's daily budget. One
    # version for all: an experiment would give some users another.
    requests = [pb.ChatRequest(user_id=f"user-{n}", template_version=1) for n in range(100)]
    streams = [
        clients[n % 2].chat("Why is the sky blue?", request=request)
        for n, request in enumerate(requests)
    ]
    await asyncio.gather(*(stream.read() for stream in streams))
    completed = [stream.completed for stream in streams]
    assert len({stream.answer for stream in streams}) == 1
    sources = [each.source for each in completed]
    assert sources.count(chat_pb2.ANSWER_SOURCE_MODEL) == 1
    assert sum(each.attempt_count for each in completed) == 1
    assert {sources[n] for n in range(100)} <= {
        chat_pb2.ANSWER_SOURCE_MODEL,
        chat_pb2.ANSWER_SOURCE_COALESCED,
        chat_pb2.ANSWER_SOURCE_CACHE_EXACT,
    }
