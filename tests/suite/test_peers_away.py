"""Each peer is killed in the middle of load; the turns go on as documented."""

import asyncio
import uuid

import grpc
import pytest
from parley.chat.v1 import answer_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley_client import Parley, ParleyError

from tests.suite.conftest import ENVIRONMENT
from tests.support.processes import KEY, suite
from tests.support.waiting import eventually

DEGRADES = ("guardrails", "semantic_cache", "prompt_registry", "accounting")


@pytest.fixture(scope="module")
def apart():
    """A suite of its own, since its processes are killed."""
    environment = {**ENVIRONMENT, "PARLEY_ORCHESTRATOR_OFFLINE_TURN_LIMIT": "100000"}
    with suite(apart=True, environment=environment) as running:
        yield running


@pytest.fixture
async def parley(apart):
    async with Parley(apart.address, api_key=KEY) as client:
        yield client


async def ask(parley, text=None, **fields):
    """Run a turn; return its last event, or the error that ended it."""
    stream = parley.chat(text or f"Hello {uuid.uuid4().hex}", request=pb.ChatRequest(**fields))
    try:
        await stream.read()
    except ParleyError as error:
        return error
    return stream.completed


class Load:
    """Turns that run one after the other in several lanes until told to stop."""

    def __init__(self, parley, lanes=4):
        self._parley = parley
        self._going = True
        self.ends = []
        self._lanes = [asyncio.create_task(self._lane()) for _ in range(lanes)]

    async def _lane(self):
        while self._going:
            self.ends.append(await ask(self._parley))

    async def more(self, count):
        """Wait until *count* more turns have ended, and return them."""
        seen = len(self.ends)
        await eventually(lambda: _value(len(self.ends) >= seen + count))
        return self.ends[seen:]

    async def stop(self):
        self._going = False
        await asyncio.gather(*self._lanes)


async def _value(value):
    return value


@pytest.mark.parametrize("name", DEGRADES)
async def test_a_turn_goes_on_without(apart, parley, name):
    load = Load(parley)
    try:
        assert all(not isinstance(end, ParleyError) for end in await load.more(8))
        apart.stop(name, kill=True)
        ends = await load.more(40)
        refused = [end for end in ends if isinstance(end, ParleyError)]
        assert refused == []
        degraded = {each.component for end in ends for each in end.degradations}
        assert degraded == {name}
        apart.start(name)

        async def whole_again():
            return not (await ask(parley)).degradations

        await eventually(whole_again)
    finally:
        await load.stop()


async def test_without_the_model_router_a_known_question_is_answered(apart, parley):
    known = await ask(parley, "What is a circuit breaker?")
    assert not isinstance(known, ParleyError)

    async def cached():
        end = await ask(parley, "What is a circuit breaker?")
        return end.source == answer_pb2.ANSWER_SOURCE_CACHE_EXACT

    await eventually(cached)
    load = Load(parley)
    try:
        await load.more(8)
        apart.stop("model_router", kill=True)
        ends = await load.more(20)
        refused = [end for end in ends if isinstance(end, ParleyError)]
        assert refused
        for error in refused:
            assert error.code is grpc.StatusCode.UNAVAILABLE
            assert error.retry_after_seconds
        again = await ask(parley, "What is a circuit breaker?")
        assert again.source == answer_pb2.ANSWER_SOURCE_CACHE_EXACT
        apart.start("model_router")

        async def answered():
            return not isinstance(await ask(parley), ParleyError)

        await eventually(answered)
    finally:
        await load.stop()
