import asyncio

import pytest
from parley_services.kit.chat.attempt import AttemptKind, AttemptOutcome
from parley_services.kit.errors import DeadlineExceeded, ProviderUnavailable
from parley_services.model_router.attempt.failures import FailureKind
from parley_services.model_router.providers.provider import TextDelta
from parley_services.model_router.route.limiter import LimiterPolicy
from parley_services.model_router.route.route_reason import RouteReason
from parley_services.model_router.stream.events import (
    AttemptEnded,
    Completed,
    RouteChosen,
    Switched,
)

from tests.support.model_router import HANG, ScriptedProvider
from tests.support.virtual_time import VirtualTime
from tests.unit.model_router.conftest import attempts_of, request_for, text_of

USUAL_SECONDS = 1.0
"""How long the first route took to begin so far, so that a hedge is made after that."""


class Timed(ScriptedProvider):
    """A `ScriptedProvider` that takes a while to accept each call."""

    def __init__(self, time, seconds, *scripts):
        super().__init__(*scripts)
        self.time = time
        self.seconds = seconds
        self.cancelled = 0

    async def open(self, call):
        try:
            await self.time.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().open(call)


@pytest.fixture
def time():
    return VirtualTime()


@pytest.fixture
def hedged(bench, time):
    def make(*, calls=20, learn=True, share=0.05, **arguments):
        made = bench(clock=time, sleep=time.sleep, hedge_share=share, **arguments)
        model = made.router.catalogue.models["a"]
        for _ in range(20 if learn else 0):
            made.routes.record_first_token(model, USUAL_SECONDS)
        for _ in range(calls if made.hedging else 0):
            made.hedging.record_call()
        return made

    return make


def order_of(events):
    return [
        type(event) if not isinstance(event, RouteChosen) else event.reason
        for event in events
        if isinstance(event, RouteChosen | Switched | AttemptEnded | Completed)
    ]


async def test_a_first_route_that_is_quick_enough_is_alone(hedged, time):
    made = hedged(a=Timed(time, 0.9, ["yes"]), b=ScriptedProvider(["no"]))
    assert text_of(await time.run(made.answer())) == "yes"
    assert not made.providers["b"].calls


async def test_a_slow_first_route_is_overtaken_and_both_are_booked(hedged, time):
    made = hedged(a=Timed(time, 9.0, ["no"]), b=Timed(time, 0.5, ["yes"]))
    started = time.monotonic()
    events = await time.run(made.answer())

    assert text_of(events) == "yes"
    assert time.monotonic() - started == USUAL_SECONDS + 0.5
    assert order_of(events) == [
        RouteReason.PRIORITY,
        RouteReason.HEDGE,
        AttemptEnded,
        Switched,
        AttemptEnded,
        Completed,
    ]
    lost, won = attempts_of(events)
    assert (lost.number, lost.kind, lost.outcome) == (
        1,
        AttemptKind.PRIMARY,
        AttemptOutcome.CANCELLED,
    )
    assert lost.usage.estimated
    assert lost.usage.input_token_count > 0
    assert lost.cost_nano_usd > 0
    assert (won.number, won.kind, won.outcome) == (2, AttemptKind.HEDGE, AttemptOutcome.SUCCEEDED)
    [switched] = [event for event in events if isinstance(event, Switched)]
    assert (switched.reason, switched.restarts, switched.attempt_number) == ("hedge", False, 2)
    assert events[-1].model == "b"
    assert made.providers["a"].cancelled == 1
    assert made.providers["a"].open_streams == made.providers["b"].open_streams == 0


async def test_a_first_route_that_begins_after_all_stays(hedged, time):
    made = hedged(a=Timed(time, 1.2, ["yes"]), b=Timed(time, 5.0, ["no"]))
    events = await time.run(made.answer())
    assert text_of(events) == "yes"
    assert order_of(events) == [
        RouteReason.PRIORITY,
        RouteReason.HEDGE,
        AttemptEnded,
        RouteReason.HEDGE_LOST,
        AttemptEnded,
        Completed,
    ]
    assert [(each.number, each.outcome) for each in attempts_of(events)] == [
        (2, AttemptOutcome.CANCELLED),
        (1, AttemptOutcome.SUCCEEDED),
    ]
    assert made.providers["b"].cancelled == 1


async def test_a_first_route_that_fails_leaves_the_answer_to_its_hedge(hedged, time):
    made = hedged(a=Timed(time, 1.2, [FailureKind.OVERLOADED]), b=Timed(time, 5.0, ["yes"]))
    events = await time.run(made.answer())
    assert text_of(events) == "yes"
    assert [each.outcome for each in attempts_of(events)] == [
        AttemptOutcome.FAILED,
        AttemptOutcome.SUCCEEDED,
    ]


async def test_a_hedge_that_fails_is_forgotten(hedged, time):
    made = hedged(a=Timed(time, 5.0, ["yes"]), b=ScriptedProvider([FailureKind.SERVER_ERROR]))
    events = await time.run(made.answer())
    assert text_of(events) == "yes"
    assert len(made.providers["b"].calls) == 1


async def test_when_both_fail_the_chain_goes_on(hedged, time):
    made = hedged(
        a=Timed(time, 1.5, [FailureKind.OVERLOADED]),
        b=ScriptedProvider([FailureKind.SERVER_ERROR], ["yes"]),
    )
    events = await time.run(made.answer())
    assert text_of(events) == "yes"
    assert [(each.model, each.kind) for each in attempts_of(events)] == [
        ("gpt-4o", AttemptKind.HEDGE),
        ("gpt-4o", AttemptKind.PRIMARY),
        ("gpt-4o", AttemptKind.FALLBACK),
    ]


async def test_a_hedge_that_breaks_is_continued_by_the_first_route(hedged, time):
    made = hedged(a=Timed(time, 9.0, ["one two"]), b=ScriptedProvider(["one ", FailureKind.CUT]))
    events = await time.run(made.answer())
    assert text_of(events) == "one two"
    assert [each.kind for each in attempts_of(events)] == [
        AttemptKind.PRIMARY,
        AttemptKind.HEDGE,
        AttemptKind.CONTINUATION,
    ]


@pytest.mark.parametrize(
    "arguments",
    [{"share": None}, {"learn": False}, {"calls": 0}],
    ids=["off", "nothing known yet", "no hedge left"],
)
async def test_without_reason_or_budget_there_is_no_hedge(hedged, time, arguments):
    made = hedged(a=Timed(time, 3.0, ["yes"]), b=ScriptedProvider(["no"]), **arguments)
    assert text_of(await time.run(made.answer())) == "yes"
    assert not made.providers["b"].calls


async def test_a_chain_of_one_is_not_hedged(hedged, time):
    made = hedged(a=Timed(time, 3.0, ["yes"]))
    assert text_of(await time.run(made.answer())) == "yes"
    assert len(made.providers["a"].calls) == 1


async def test_a_shadow_call_is_not_hedged(hedged, time):
    made = hedged(a=Timed(time, 3.0, ["yes"]), b=ScriptedProvider(["no"]))
    await time.run(made.answer(request_for(kind=AttemptKind.SHADOW)))
    assert not made.providers["b"].calls


async def test_a_hedge_never_begins_beyond_the_deadline(hedged, time):
    made = hedged(a=Timed(time, 0.95, ["yes"]), b=ScriptedProvider(["no"]))
    await time.run(made.answer(timeout_seconds=0.99))
    assert not made.providers["b"].calls


async def test_the_deadline_ends_and_books_both(hedged, time):
    class Late(Timed):
        async def open(self, call):
            stream = await super().open(call)
            self.time.advance(10.0)
            return stream

    made = hedged(a=Late(time, 1.5, ["x", HANG]), b=Timed(time, 60.0, ["no"]))
    events, error = await time.run(made.outcome(timeout_seconds=5.0))
    assert isinstance(error, DeadlineExceeded)
    assert sorted(each.number for each in attempts_of(events)) == [1, 2]
    assert {each.outcome for each in attempts_of(events)} == {AttemptOutcome.CANCELLED}


async def test_hedges_take_no_place_that_others_wait_for(hedged, time):
    made = hedged(
        a=Timed(time, 3.0, ["yes"]),
        b=ScriptedProvider(["no"]),
        limiter_policy=LimiterPolicy(first_limit=1, min_limit=1),
    )
    model = made.router.catalogue.models["b"]
    permit = made.routes.enter_now(model)
    assert text_of(await time.run(made.answer())) == "yes"
    assert not made.providers["b"].calls
    made.routes.leave(permit, None)


async def test_hedges_stay_within_their_share(hedged, time):
    made = hedged(calls=0, a=Timed(time, 3.0, ["a"]), b=ScriptedProvider(["b"]))
    for _ in range(200):
        for _ in range(4):
            made.routes.record_first_token(made.router.catalogue.models["a"], USUAL_SECONDS)
        await time.run(made.answer())
    assert len(made.providers["b"].calls) == 200 * 0.05


async def test_a_cancel_in_the_middle_of_a_race_books_both(hedged, time):
    made = hedged(a=Timed(time, 60.0, ["no"]), b=Timed(time, 60.0, ["no"]))
    call = made.router.start(request_for(), timeout_seconds=100)
    seen = []

    async def emit(event):
        seen.append(event)

    async def cancelled_once_hedged():
        task = asyncio.create_task(call.run(emit))
        while len(seen) < 2:
            await time.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])

    await time.run(cancelled_once_hedged())
    assert [each.number for each in call.unreported] == [1, 2]
    assert all(each.usage.estimated for each in call.unreported)
    assert made.providers["a"].cancelled == made.providers["b"].cancelled == 1


async def test_places_are_given_back(hedged, time):
    made = hedged(a=Timed(time, 9.0, ["no"]), b=Timed(time, 0.5, ["yes"]))
    await time.run(made.answer())
    for name in made.router.catalogue.models:
        assert made.router.health(name).in_flight_count == 0


async def test_the_first_route_is_known_to_be_slow(hedged, time):
    made = hedged(a=Timed(time, 9.0, ["no"]), b=Timed(time, 0.5, ["yes"]))
    model = made.router.catalogue.models["a"]
    await time.run(made.answer())
    assert made.routes.first_token_quantile(model, 1.0) == USUAL_SECONDS + 0.5


async def test_all_failed_is_said_as_without_a_hedge(hedged, time):
    made = hedged(
        a=Timed(time, 1.5, [FailureKind.QUOTA_EXHAUSTED]),
        b=ScriptedProvider([FailureKind.QUOTA_EXHAUSTED]),
    )
    _, error = await time.run(made.outcome())
    assert isinstance(error, ProviderUnavailable)


async def test_text_comes_after_the_race_is_decided(hedged, time):
    made = hedged(a=Timed(time, 9.0, ["no"]), b=Timed(time, 0.5, ["yes"]))
    events = await time.run(made.answer())
    [first_text] = [n for n, event in enumerate(events) if isinstance(event, TextDelta)]
    assert isinstance(events[first_text - 1], Switched)
