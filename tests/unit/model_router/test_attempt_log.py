"""Attempts are written down before they are made, and as far as they go."""

import asyncio

import pytest
from parley_services.kit.chat.attempt import AttemptOutcome
from parley_services.kit.errors import Overloaded
from parley_services.model_router.attempt.failures import FailureKind
from parley_services.model_router.route.limiter import LimiterPolicy

from tests.support.clock import ManualClock
from tests.support.model_router import HANG, ScriptedProvider
from tests.support.waiting import until
from tests.unit.model_router.conftest import attempts_of, request_for


class MemoryLog:
    """Keeps each note's versions; refuses new ones once it has *room* for no more."""

    def __init__(self, room=100):
        self.notes = []
        self.room = room

    def begin(self, request, attempt, *, last_time):
        if len(self.notes) == self.room:
            raise Overloaded("The disk is full.")
        self.notes.append([attempt])
        return len(self.notes)

    def update(self, number, request, attempt):
        self.notes[number - 1].append(attempt)


class Watching(ScriptedProvider):
    """Notes how many attempts were written down when it was called."""

    def __init__(self, log, *scripts):
        super().__init__(*scripts)
        self.log = log
        self.written = []

    async def open(self, call):
        self.written.append(len(self.log.notes))
        return await super().open(call)


async def test_each_attempt_is_written_before_it_is_made_and_when_it_ended(bench):
    log = MemoryLog()
    provider = Watching(log, [FailureKind.SERVER_ERROR], ["yes"])
    events = await bench(log=log, a=provider).answer()
    assert provider.written == [1, 2]
    first, second = log.notes
    assert [first[-1], second[-1]] == attempts_of(events)
    assert (first[0].outcome, first[0].number) == (AttemptOutcome.CANCELLED, 1)
    assert first[0].usage.input_token_count > 4
    assert first[0].usage.estimated


async def test_how_far_a_stream_is_is_written_now_and_then(bench):
    log, clock = MemoryLog(), ManualClock()
    provider = ScriptedProvider(["one ", "two ", "three ", HANG])
    made = bench(log=log, clock=clock, a=provider)

    async def step(event):
        clock.advance(0.06)

    call = made.router.start(request_for(), timeout_seconds=60)
    running = asyncio.create_task(call.run(step))
    await until(lambda: len(log.notes) == 1 and len(log.notes[0]) >= 2)
    counts = [each.usage.output_token_count for each in log.notes[0]]
    assert counts == sorted(counts)
    assert counts[-1] > 0
    running.cancel()
    await asyncio.wait([running])
    assert log.notes[0][-1].outcome is AttemptOutcome.CANCELLED


async def test_what_cannot_be_written_is_not_made(bench):
    log = MemoryLog(room=0)
    provider = ScriptedProvider(["no"])
    made = bench(log=log, limiter_policy=LimiterPolicy(first_limit=1), a=provider)
    with pytest.raises(Overloaded):
        await made.answer()
    assert provider.calls == []
    log.room = 1
    await made.answer()  # Its place in the limiter was given back.
