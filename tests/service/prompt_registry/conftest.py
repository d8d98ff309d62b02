from contextlib import AsyncExitStack

import pytest
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc
from parley_services.prompt_registry.app import open_prompt_registry
from parley_services.prompt_registry.settings import PromptRegistrySettings

from tests.support.clock import ManualClock
from tests.support.serving import TRANSPORTS, served


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def serve(tmp_path, clock):
    """Opens a registry of its own on the test's data: `await serve(transport, **settings)`."""
    async with AsyncExitStack() as stack:

        async def serve(
            transport="in_process",
            *,
            store=None,
            redactor=None,
            alerts=None,
            report=None,
            **settings,
        ):
            register = await stack.enter_async_context(
                open_prompt_registry(
                    PromptRegistrySettings(data_dir=tmp_path, poll_seconds=0.05, **settings),
                    clock=clock,
                    store=store,
                    redactor=redactor,
                    alerts=alerts,
                    report=report,
                )
            )
            channel = await stack.enter_async_context(served(transport, register))
            return pb_grpc.PromptRegistryServiceStub(channel)

        serve.aclose = stack.aclose
        yield serve


@pytest.fixture
async def stub(serve, transport):
    return await serve(transport)
