from contextlib import AsyncExitStack

import pytest

from tests.support.echo import Echo
from tests.support.serving import TRANSPORTS
from tests.support.transports import serving


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
async def connect(transport):
    """Serves an Echo over the transport of the test: `await connect(servicer)`."""
    async with AsyncExitStack() as stack:

        async def connect(servicer=None, **options):
            return await stack.enter_async_context(
                serving(transport, servicer or Echo(), **options)
            )

        yield connect
