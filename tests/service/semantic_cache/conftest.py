from contextlib import AsyncExitStack

import pytest
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as pb_grpc
from parley_services.semantic_cache.app import open_semantic_cache
from parley_services.semantic_cache.settings import SemanticCacheSettings

from tests.support.clock import ManualClock
from tests.support.serving import TRANSPORTS, served


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def closing():
    """Ends the caches that the test opened; it may do so early."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def serve(tmp_path, clock, closing):
    """Opens a cache on the test's folder: `await serve(transport, store=, say=, **settings)`."""

    async def serve(transport="in_process", *, doubles=None, **settings):
        register = await closing.enter_async_context(
            open_semantic_cache(
                SemanticCacheSettings(data_dir=tmp_path, **settings),
                clock=clock,
                **(doubles or {}),
            )
        )
        channel = await closing.enter_async_context(served(transport, register))
        return pb_grpc.SemanticCacheServiceStub(channel)

    return serve


@pytest.fixture
async def stub(serve, transport):
    return await serve(transport)
