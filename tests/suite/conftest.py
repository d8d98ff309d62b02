"""The whole suite, in one process and apart, as users run it."""

import pytest
from parley_client import Parley

from tests.support.processes import KEY, PLACEMENTS, suite

ENVIRONMENT = {
    "PARLEY_MODEL_ROUTER_SIMULATED_FIRST_TOKEN_SECONDS": "0",
    "PARLEY_MODEL_ROUTER_SIMULATED_TOKEN_SECONDS": "0.002",
    "PARLEY_ACCOUNTING_USER_REQUESTS_PER_MINUTE": "0",
}


@pytest.fixture(scope="session", params=PLACEMENTS)
def running(request):
    """A suite that all tests of its placement share."""
    with suite(apart=request.param == "apart", environment=ENVIRONMENT) as suite_:
        yield suite_


@pytest.fixture
async def parley(running):
    async with Parley(running.address, api_key=KEY) as client:
        yield client
