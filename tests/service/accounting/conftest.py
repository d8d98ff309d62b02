import asyncio
import hashlib
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley_services.accounting.app import open_accounting
from parley_services.accounting.settings import AccountingSettings
from parley_services.kit.models.catalogue import ListedModel, catalogue_of
from parley_services.kit.models.prices import PriceTable

from tests.support.clock import ManualClock
from tests.support.serving import TRANSPORTS, served

TABLE = PriceTable.load()
CATALOGUE = catalogue_of(
    [
        ListedModel(
            name=name,
            provider=provider,
            provider_model=name,
            price=TABLE.price(provider=provider, model=name, at=datetime(2026, 1, 1, tzinfo=UTC)),
            price_version=TABLE.version,
        )
        for provider, name in (
            ("anthropic", "claude-sonnet-5-5"),
            ("openai", "gpt-4o"),
            ("openai", "gpt-4o-mini"),
        )
    ],
    {"default": ("claude-sonnet-5-5", "gpt-4o")},
    default_group="default",
    auto=("gpt-4o-mini", "default"),
)
"""What the router offers."""

SECRET = "parley_first"
SECRET_DIGEST = hashlib.sha256(SECRET.encode()).digest()


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def serve(tmp_path, clock):
    """Opens accounting on the test's data: `await serve(transport, **settings)`."""
    async with AsyncExitStack() as stack:

        async def serve(transport="in_process", *, webhook_sleep=asyncio.sleep, **settings):
            settings = {"bootstrap_key": SECRET, "poll_interval_seconds": 0.02} | settings
            register = await stack.enter_async_context(
                open_accounting(
                    AccountingSettings(data_dir=tmp_path, **settings),
                    clock=clock,
                    models=lambda: CATALOGUE,
                    webhook_sleep=webhook_sleep,
                )
            )
            channel = await stack.enter_async_context(served(transport, register))
            return pb_grpc.AccountingServiceStub(channel)

        yield serve


@pytest.fixture
async def stub(serve, transport):
    return await serve(transport)
