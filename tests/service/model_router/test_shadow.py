"""Shadow calls over gRPC: their caller may leave, the service may not."""

import asyncio

import grpc
import pytest
from parley.chat.v1 import attempt_pb2, message_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc
from parley_services.kit.errors import Overloaded
from parley_services.kit.rpc.status import service_error_of
from parley_services.model_router.app import open_model_router
from parley_services.model_router.settings import ModelRouterSettings

from tests.support.model_router import HANG, ScriptedProvider
from tests.support.serving import TRANSPORTS, served
from tests.support.waiting import until

SHADOW = pb.GenerateRequest(
    request_id="r1",
    model="gpt-4o",
    kind=attempt_pb2.ATTEMPT_KIND_SHADOW,
    messages=[message_pb2.Message(role=message_pb2.ROLE_USER, text="What is a quay?")],
)


class Gated(ScriptedProvider):
    """Accepts a call once the gate is open."""

    def __init__(self, *scripts):
        super().__init__(*scripts)
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def open(self, call):
        self.asked.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return await super().open(call)


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


def router(openai, **settings):
    providers = {"openai": openai, "anthropic": ScriptedProvider(["no"])}
    return open_model_router(ModelRouterSettings(simulate="never", **settings), providers=providers)


async def test_a_caller_that_stays_gets_the_answer_and_its_booking(transport):
    async with (
        router(ScriptedProvider(["yes"])) as register,
        served(transport, register) as channel,
    ):
        stub = pb_grpc.ModelRouterServiceStub(channel)
        events = [event async for event in stub.Generate(SHADOW, timeout=10)]
    assert "".join(event.text for event in events) == "yes"
    [attempt] = [event.attempt for event in events if event.HasField("attempt")]
    assert attempt.kind == attempt_pb2.ATTEMPT_KIND_SHADOW


async def test_a_caller_that_leaves_does_not_end_it(transport):
    openai = Gated(["yes"])
    async with router(openai) as register, served(transport, register) as channel:
        stub = pb_grpc.ModelRouterServiceStub(channel)
        call = stub.Generate(SHADOW, timeout=30)
        await call.read()
        await openai.asked.wait()
        call.cancel()
        # By then the server has seen the cancel, too.
        await stub.ListModels(pb.ListModelsRequest(), timeout=10)
        openai.gate.set()
        await until(lambda: openai.calls and openai.open_streams == 0)
    assert not openai.cancelled.is_set()


async def test_the_end_of_the_service_ends_it(transport):
    openai = Gated([HANG])
    async with router(openai) as register, served(transport, register) as channel:
        call = pb_grpc.ModelRouterServiceStub(channel).Generate(SHADOW, timeout=30)
        await call.read()
        await openai.asked.wait()
        call.cancel()
    assert openai.cancelled.is_set()


async def test_one_too_many_is_dropped(transport):
    async with (
        router(ScriptedProvider(["no"]), max_shadow_calls=0) as register,
        served(transport, register) as channel,
    ):
        stub = pb_grpc.ModelRouterServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Generate(SHADOW, timeout=10).read()
    error = service_error_of(caught.value)
    assert isinstance(error, Overloaded)
    assert error.retry_after_seconds > 0
