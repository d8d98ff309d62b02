"""The router against llmock, which plays faulty providers and judges how a client takes it."""

import pytest
from parley.chat.v1 import message_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc
from parley_services.model_router.app import open_model_router
from parley_services.model_router.settings import ModelRouterSettings

from tests.support.serving import served

MODELS = ["gpt-4o", "claude-sonnet-5-5"]


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


@pytest.fixture
async def stub(llmock):
    settings = ModelRouterSettings(
        openai_api_key="k",
        openai_base_url=llmock.base_url("openai"),
        anthropic_api_key="k",
        anthropic_base_url=llmock.base_url("anthropic"),
        # Long enough that a busy machine cannot make two pauses look alike.
        first_pause_seconds=0.3,
        jitter_seconds=0.02,
        first_token_seconds=1.0,
        stall_seconds=0.5,
        mid_stream_policy="restart",
    )
    async with open_model_router(settings) as register, served("in_process", register) as channel:
        yield pb_grpc.ModelRouterServiceStub(channel)


async def ask(stub, model):
    """Return the text that a client ends up with."""
    text = ""
    request = pb.GenerateRequest(
        model=model,
        messages=[message_pb2.Message(role=message_pb2.ROLE_USER, text=f"Hello, {model}!")],
    )
    async for event in stub.Generate(request, timeout=30):
        match event.WhichOneof("event"):
            case "text":
                text += event.text
            case "switched" if event.switched.restarts:
                text = ""
    return text


ANSWER = "The quay is where ships are loaded."

SCENARIOS = {
    "none": lambda mock: mock,
    "rate limited": lambda mock: mock.rate_limit(times=2, retry_after=0.3),
    "server error": lambda mock: mock.fail(500, times=3),
    "overloaded": lambda mock: mock.fail(529, times=2),
    "bad gateway": lambda mock: mock.fail(502, times=1),
    "disconnected": lambda mock: mock.disconnect(after_chunks=3, times=2),
    "disconnected at once": lambda mock: mock.disconnect(after_chunks=0),
    "truncated": lambda mock: mock.truncate(after_chunks=3, times=2),
    "truncated at once": lambda mock: mock.truncate(after_chunks=0),
    "corrupted": lambda mock: mock.pace(20).corrupt(after_chunks=3),
    "stalled": lambda mock: mock.stall(after_chunks=3, seconds=3.0),
    "slow to begin": lambda mock: mock.slow_first_token(3.0),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_client_gets_the_whole_answer_and_llmock_finds_nothing(
    llmock, stub, model, scenario
):
    SCENARIOS[scenario](llmock).reply(ANSWER, times=None)
    assert await ask(stub, model) == ANSWER
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_cannot_succeed_is_asked_once(llmock, stub, model, status):
    llmock.fail(status, times=None)
    with pytest.raises(Exception, match=r"refused|No model|does not allow"):
        await ask(stub, model)
    assert len(llmock.requests) == 1
    llmock.assert_resilient(strict=True)


async def test_an_outage_is_not_stormed(llmock, stub, model):
    llmock.outage()
    with pytest.raises(Exception, match="No model"):
        await ask(stub, model)
    assert len(llmock.requests) == 4
    llmock.assert_resilient(strict=True)


async def test_an_outage_of_one_provider_is_survived(llmock, stub):
    llmock.fail(503, times=None, provider="anthropic").reply(ANSWER, times=None)
    assert await ask(stub, "") == ANSWER
