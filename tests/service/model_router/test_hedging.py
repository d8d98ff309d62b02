"""Hedging over real HTTP: the loser's connection is closed, and both calls are reported."""

import asyncio

import pytest
from parley.chat.v1 import attempt_pb2, message_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc
from parley_services.model_router.app import open_model_router
from parley_services.model_router.route.routes import MIN_SAMPLES
from parley_services.model_router.settings import ModelRouterSettings

from tests.support.provider_server import Reply, provider_server
from tests.support.provider_wires import WIRES
from tests.support.serving import TRANSPORTS, served

CHAT, MESSAGES = WIRES["chat"], WIRES["messages"]


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


async def ask(stub):
    request = pb.GenerateRequest(
        messages=[message_pb2.Message(role=message_pb2.ROLE_USER, text="What is a quay?")]
    )
    return [event async for event in stub.Generate(request, timeout=30)]


async def test_the_second_route_answers_and_the_first_ones_socket_is_closed(transport):
    quick = Reply(chunks=[MESSAGES.answer("first", finish="end_turn")])
    silent = Reply(hangs=True)
    second = Reply(chunks=[CHAT.answer("second", finish="stop")])
    async with (
        provider_server(*[quick] * MIN_SAMPLES, silent) as anthropic,
        provider_server(second) as openai,
    ):
        settings = ModelRouterSettings(
            anthropic_api_key="k",
            anthropic_base_url=anthropic.url,
            openai_api_key="k",
            openai_base_url=f"{openai.url}/v1",
            hedging=True,
            hedge_share=1.0,
        )
        async with open_model_router(settings) as register, served(transport, register) as channel:
            stub = pb_grpc.ModelRouterServiceStub(channel)
            while len(anthropic.requests) < MIN_SAMPLES + 1:
                events = await ask(stub)
            await asyncio.wait_for(anthropic.hung_up.wait(), 10)

    assert "".join(event.text for event in events) == "second"
    attempts = {e.attempt.number: e.attempt for e in events if e.HasField("attempt")}
    assert attempts[1].outcome == attempt_pb2.ATTEMPT_OUTCOME_CANCELLED
    assert attempts[1].usage.estimated
    assert attempts[1].cost_nano_usd > 0
    assert attempts[2].kind == attempt_pb2.ATTEMPT_KIND_HEDGE
    assert attempts[2].outcome == attempt_pb2.ATTEMPT_OUTCOME_SUCCEEDED
    switched = next(event.switched for event in events if event.HasField("switched"))
    assert (switched.to_model, switched.attempt_number) == ("gpt-4o", 2)
