"""The ledger on each database."""

from contextlib import AsyncExitStack

import pytest

from tests.support.ledger import JumpingClock, open_replica
from tests.support.postgres import cluster


@pytest.fixture(scope="session")
def postgres():
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/accounting.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def clock():
    return JumpingClock()


@pytest.fixture
async def replica(url, clock):
    async with open_replica(url, clock) as replica:
        yield replica


@pytest.fixture
async def replicas(url, clock):
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_replica(url, clock)) for _ in range(3)]
