import asyncio

import pytest
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import AttemptKind, AttemptOutcome, MidStreamPolicy
from parley_services.kit.chat.message import SamplingParameters, ToolCall
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import (
    DeadlineExceeded,
    InputTooLarge,
    NotFound,
    Overloaded,
    ProviderRefused,
    ProviderUnavailable,
)
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.attempt.live_attempt import Limits
from parley_services.model_router.attempt.policy import RouterPolicy
from parley_services.model_router.providers.provider import (
    WROTE,
    Finished,
    TextDelta,
    ToolCallDone,
)
from parley_services.model_router.route.breaker import BreakerPolicy, BreakerState
from parley_services.model_router.route.limiter import LimiterPolicy
from parley_services.model_router.route.route_reason import RouteReason
from parley_services.model_router.stream.events import (
    AttemptEnded,
    Completed,
    RouteChosen,
    Switched,
)

from tests.support.clock import ManualClock
from tests.support.model_router import HANG, STOP, ScriptedProvider, Unfinished
from tests.support.waiting import until
from tests.unit.model_router.conftest import attempts_of, into, model, request_for, text_of


def switches_of(events):
    return [event for event in events if isinstance(event, Switched)]


async def test_an_answer_is_route_text_attempt_completed(bench):
    usage = Usage(input_token_count=10, output_token_count=2)
    a = ScriptedProvider(["Hel", "lo"], usage=usage)
    events = await bench(a=a).answer()

    assert events[0] == RouteChosen(
        provider="a", model="a", reason=RouteReason.NAMED, attempt_number=1
    )
    assert text_of(events) == "Hello"
    [attempt] = attempts_of(events)
    assert (attempt.number, attempt.kind, attempt.outcome) == (
        1,
        AttemptKind.PRIMARY,
        AttemptOutcome.SUCCEEDED,
    )
    assert attempt.usage == usage
    assert attempt.cost_nano_usd == 10 * 2500 + 2 * 10_000
    assert attempt.provider_request_id == "req_1"
    assert events[-1] == Completed(
        finish_reason=FinishReason.STOP,
        provider_finish_reason="",
        provider="a",
        model="a",
        usage=usage,
        cost_nano_usd=attempt.cost_nano_usd,
    )
    assert a.open_streams == 0


async def test_a_provider_that_does_not_count_is_counted(bench):
    [attempt] = attempts_of(await bench(a=ScriptedProvider(["Hello there"])).answer())
    assert attempt.usage.estimated
    assert attempt.usage.output_token_count == 2
    assert attempt.usage.input_token_count > 4


async def test_a_failure_that_may_pass_is_retried_after_longer_pauses(bench):
    a = ScriptedProvider(*[[FailureKind.SERVER_ERROR]] * 3, ["yes"])
    b = ScriptedProvider(["no"])
    made = bench(a=a, b=b)
    events = await made.answer()

    assert text_of(events) == "yes"
    assert made.pauses == [1, 2, 4]
    assert [(each.number, each.kind, each.outcome) for each in attempts_of(events)] == [
        (1, AttemptKind.PRIMARY, AttemptOutcome.FAILED),
        (2, AttemptKind.RETRY, AttemptOutcome.FAILED),
        (3, AttemptKind.RETRY, AttemptOutcome.FAILED),
        (4, AttemptKind.RETRY, AttemptOutcome.SUCCEEDED),
    ]
    assert [each.cost_nano_usd for each in attempts_of(events)][:3] == [0, 0, 0]
    assert not switches_of(events)
    assert not b.calls


async def test_after_three_retries_the_next_route_is_asked(bench):
    made = bench(a=ScriptedProvider([FailureKind.SERVER_ERROR]), b=ScriptedProvider(["yes"]))
    events = await made.answer()
    assert len(made.providers["a"].calls) == 4
    assert text_of(events) == "yes"
    assert attempts_of(events)[-1].kind is AttemptKind.FALLBACK
    assert switches_of(events) == [
        Switched(
            from_model="a",
            to_model="b",
            to_provider="b",
            reason="server_error",
            restarts=False,
            attempt_number=5,
        )
    ]
    assert events[-1].model == "b"


async def test_each_call_is_announced_before_and_reported_after(bench):
    made = bench(a=ScriptedProvider([FailureKind.SERVER_ERROR]), b=ScriptedProvider(["yes"]))
    kinds = [
        type(event)
        for event in await made.answer()
        if isinstance(event, RouteChosen | Switched | AttemptEnded)
    ]
    assert kinds == [RouteChosen, AttemptEnded] * 4 + [Switched, AttemptEnded]


async def test_an_overloaded_route_is_left_at_once(bench):
    made = bench(a=ScriptedProvider([FailureKind.OVERLOADED]), b=ScriptedProvider(["yes"]))
    assert text_of(await made.answer()) == "yes"
    assert len(made.providers["a"].calls) == 1
    assert made.pauses == []


async def test_the_last_route_is_retried_also_when_overloaded(bench):
    made = bench(a=ScriptedProvider([FailureKind.OVERLOADED], ["yes"]))
    assert text_of(await made.answer()) == "yes"
    assert made.pauses == [1]


async def test_retry_after_is_honoured(bench):
    limited = ProviderError(FailureKind.RATE_LIMITED, retry_after_seconds=7.5)
    made = bench(a=ScriptedProvider([limited], ["yes"]), clock=ManualClock())
    assert text_of(await made.answer()) == "yes"
    assert made.pauses == [7.5]


async def test_a_retry_after_that_is_too_long_is_a_reason_to_move_on(bench):
    limited = ProviderError(FailureKind.RATE_LIMITED, retry_after_seconds=60)
    made = bench(a=ScriptedProvider([limited]), b=ScriptedProvider(["yes"]))
    assert text_of(await made.answer()) == "yes"
    assert made.pauses == []


async def test_a_retry_that_would_outlast_the_deadline_does_not_happen(bench):
    made = bench(a=ScriptedProvider([FailureKind.SERVER_ERROR]))
    events, error = await made.outcome(timeout_seconds=2.5)
    assert isinstance(error, ProviderUnavailable)
    assert made.pauses == [1, 2]
    assert len(attempts_of(events)) == 3


@pytest.mark.parametrize("kind", [FailureKind.INVALID_REQUEST, FailureKind.CONTENT_POLICY])
async def test_what_cannot_succeed_is_not_tried_again(bench, kind):
    made = bench(a=ScriptedProvider([kind]), b=ScriptedProvider(["no"]))
    events, error = await made.outcome()
    assert isinstance(error, ProviderRefused)
    assert error.metadata == {"provider": "a", "kind": kind.value}
    assert len(attempts_of(events)) == 1
    assert not made.providers["b"].calls


@pytest.mark.parametrize("kind", [FailureKind.MODEL_NOT_FOUND, FailureKind.QUOTA_EXHAUSTED])
async def test_what_this_route_cannot_do_goes_to_the_next(bench, kind):
    made = bench(a=ScriptedProvider([kind]), b=ScriptedProvider([kind]))
    _, error = await made.outcome()
    assert isinstance(error, ProviderUnavailable)
    assert [len(each.calls) for each in made.providers.values()] == [1, 1]


async def test_all_failed_says_when_to_come_back(bench):
    made = bench(
        a=ScriptedProvider([ProviderError(FailureKind.RATE_LIMITED, retry_after_seconds=90)]),
        b=ScriptedProvider([ProviderError(FailureKind.RATE_LIMITED, retry_after_seconds=40)]),
    )
    events, error = await made.outcome()
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after_seconds == 40
    assert len(attempts_of(events)) == 2


async def test_a_refused_key_is_dropped_and_another_takes_its_place(bench):
    made = bench(
        a=ScriptedProvider([FailureKind.KEY_REFUSED], ["yes"], ["yes"]),
        keys={"a": ["dead", "alive"]},
    )
    assert text_of(await made.answer()) == "yes"
    await made.answer()
    assert [call.api_key for call in made.providers["a"].calls] == ["dead", "alive", "alive"]
    assert made.pauses == [0]


async def test_while_its_key_rests_the_route_is_not_called(bench):
    made = bench(a=ScriptedProvider([FailureKind.KEY_REFUSED]), b=ScriptedProvider(["yes"]))
    for _ in range(2):
        assert text_of(await made.answer()) == "yes"
    assert len(made.providers["a"].calls) == 1


async def test_a_route_whose_key_rests_is_listed_as_open(bench):
    made = bench(a=ScriptedProvider([FailureKind.KEY_REFUSED]), b=ScriptedProvider(["yes"]))
    await made.answer()
    assert made.router.health("a").breaker is BreakerState.OPEN
    assert made.router.health("b").breaker is BreakerState.CLOSED


async def test_a_conversation_that_is_too_long_goes_to_a_larger_context(bench):
    providers = {
        "a": ScriptedProvider([FailureKind.CONTEXT_TOO_LONG]),
        "b": ScriptedProvider(["no"]),
        "c": ScriptedProvider(["yes"]),
    }
    models = {
        "a": model("a", context=8000),
        "b": model("b", context=8000),
        "c": model("c", context=128_000),
    }
    assert text_of(await bench(models=models, **providers).answer()) == "yes"
    assert not providers["b"].calls
    del models["c"], providers["c"]
    _, error = await bench(models=models, **providers).outcome()
    assert isinstance(error, InputTooLarge)
    assert error.metadata["limit"] == "8000"


async def test_an_unknown_model_is_not_found(bench):
    made = bench(a=ScriptedProvider(["no"]))
    with pytest.raises(NotFound) as caught:
        made.router.start(request_for("nope"), timeout_seconds=1)
    assert caught.value.metadata == {"resource_type": "model", "resource_name": "nope"}


class TestSilence:
    @pytest.fixture
    def policy(self):
        return RouterPolicy(limits=Limits(first_token_seconds=0.03, stall_seconds=0.02))

    async def test_an_answer_that_does_not_begin_goes_to_the_next_route(self, bench, policy):
        made = bench(a=ScriptedProvider([HANG]), b=ScriptedProvider(["yes"]), policy=policy)
        events = await made.answer()
        assert text_of(events) == "yes"
        assert attempts_of(events)[0].error_kind == "first_token_timeout"
        assert made.providers["a"].open_streams == 0

    async def test_an_answer_that_falls_silent_is_continued(self, bench, policy):
        made = bench(a=ScriptedProvider(["one ", HANG]), b=ScriptedProvider(["two"]), policy=policy)
        events = await made.answer()
        assert text_of(events) == "one two"
        assert [(each.outcome, each.error_kind) for each in attempts_of(events)] == [
            (AttemptOutcome.CUT, "stalled"),
            (AttemptOutcome.SUCCEEDED, ""),
        ]

    async def test_the_deadline_ends_the_call_and_books_it(self, bench):
        made = bench(a=ScriptedProvider(["one ", HANG]))
        events, error = await made.outcome(timeout_seconds=0.03)
        assert isinstance(error, DeadlineExceeded)
        [attempt] = attempts_of(events)
        assert attempt.outcome is AttemptOutcome.CANCELLED
        assert attempt.usage.estimated
        assert attempt.usage.output_token_count > 0
        assert attempt.cost_nano_usd > 0


class TestBreaksInTheMiddle:
    def make(self, bench, *second):
        return bench(
            a=ScriptedProvider(["The quick ", "brown fo", FailureKind.CUT]),
            b=ScriptedProvider(*second),
        )

    async def test_the_next_route_continues_and_nothing_repeats(self, bench):
        made = self.make(bench, ["brown fox ", "jumps."])
        events = await made.answer()
        assert text_of(events) == "The quick brown fox jumps."
        assert [(each.kind, each.outcome) for each in attempts_of(events)] == [
            (AttemptKind.PRIMARY, AttemptOutcome.CUT),
            (AttemptKind.CONTINUATION, AttemptOutcome.SUCCEEDED),
        ]
        [switched] = switches_of(events)
        assert (switched.reason, switched.restarts) == ("cut", False)
        sent = made.providers["b"].calls[0].request.messages
        assert sent[-2].text == "The quick brown fo"

    async def test_both_attempts_are_booked(self, bench):
        first, second = attempts_of(await self.make(bench, ["x jumps."]).answer())
        assert first.usage.estimated
        assert first.usage.output_token_count == 4
        assert second.usage.input_token_count > first.usage.input_token_count

    async def test_restart_drops_what_was_sent(self, bench):
        request = request_for(mid_stream_policy=MidStreamPolicy.RESTART)
        events = await self.make(bench, ["A new answer."]).answer(request)
        [switched] = switches_of(events)
        assert switched.restarts
        assert text_of(events[events.index(switched) :]) == "A new answer."
        assert attempts_of(events)[-1].kind is AttemptKind.FALLBACK

    async def test_fail_fails(self, bench):
        request = request_for(mid_stream_policy=MidStreamPolicy.FAIL)
        made = self.make(bench, ["no"])
        events, error = await made.outcome(request)
        assert isinstance(error, ProviderUnavailable)
        assert len(attempts_of(events)) == 1
        assert not made.providers["b"].calls

    async def test_a_tool_call_that_was_sent_is_not_made_twice(self, bench):
        call = ToolCallDone(ToolCall(id="1", name="pay", arguments_json="{}"))
        made = bench(a=ScriptedProvider([call, FailureKind.CUT]), b=ScriptedProvider(["no"]))
        _, error = await made.outcome()
        assert isinstance(error, ProviderUnavailable)
        assert not made.providers["b"].calls

    async def test_breaks_without_end_come_to_an_end(self, bench):
        made = bench(a=ScriptedProvider(["x", FailureKind.CUT]))
        events, error = await made.outcome()
        assert isinstance(error, ProviderUnavailable)
        assert len(attempts_of(events)) == 9

    async def test_a_single_route_continues_itself(self, bench):
        a = ScriptedProvider(["one ", FailureKind.CUT], ["one two"])
        assert text_of(await bench(a=a).answer()) == "one two"


async def test_a_cancel_closes_the_stream_and_keeps_the_booking(bench):
    made = bench(a=ScriptedProvider(["one ", "two ", HANG]))
    call = made.router.start(request_for(), timeout_seconds=60)
    seen = []

    task = asyncio.create_task(call.run(into(seen)))
    await until(lambda: text_of(seen) == "one two ")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert made.providers["a"].open_streams == 0
    [attempt] = call.unreported
    assert attempt.outcome is AttemptOutcome.CANCELLED
    assert attempt.usage.estimated
    assert attempt.usage.output_token_count > 0


async def test_a_repair_goes_on_counting(bench):
    request = request_for(kind=AttemptKind.REPAIR, first_attempt_number=3)
    [attempt] = attempts_of(await bench(a=ScriptedProvider(["yes"])).answer(request))
    assert (attempt.number, attempt.kind) == (3, AttemptKind.REPAIR)


async def test_an_answer_without_text_is_an_answer(bench):
    events = await bench(a=ScriptedProvider([STOP])).answer()
    assert text_of(events) == ""
    assert events[-1].finish_reason is FinishReason.STOP


async def test_retries_stay_within_their_budget(bench):
    made = bench(a=ScriptedProvider([FailureKind.SERVER_ERROR]), retry_reserve=2.0)
    for _ in range(3):
        await made.outcome()
    # Three calls and the two retries that the reserve allowed.
    assert len(made.providers["a"].calls) == 5


class TestAnIllRoute:
    @pytest.fixture
    def made(self, bench):
        return bench(
            a=ScriptedProvider(*[[FailureKind.OVERLOADED]] * 4, ["well again"]),
            b=ScriptedProvider(["from b"]),
            breaker_policy=BreakerPolicy(min_calls=4, first_open_seconds=5),
            clock=ManualClock(),
        )

    async def test_is_left_alone_and_probed_later(self, made):
        clock, a = made._manual_clock, made.providers["a"]
        for _ in range(4):
            assert text_of(await made.answer()) == "from b"
        events = await made.answer()
        assert events[0] == RouteChosen(
            provider="b", model="b", reason=RouteReason.HEALTH, attempt_number=1
        )
        assert len(a.calls) == 4

        clock.advance(5)
        assert text_of(await made.answer()) == "well again"
        assert made.router.health("a").breaker is BreakerState.CLOSED

    async def test_alone_it_is_not_called_at_all(self, made):
        for _ in range(4):
            await made.answer()
        _, error = await made.outcome(request_for("a"))
        assert isinstance(error, ProviderUnavailable)
        assert error.retry_after_seconds == 5
        assert len(made.providers["a"].calls) == 4


async def test_without_a_place_the_next_route_answers_and_then_nobody(bench):
    full = LimiterPolicy(first_limit=0, min_limit=0, max_waiting=0)
    made = bench(a=ScriptedProvider(["no"]), limiter_policy=full)
    _, error = await made.outcome()
    assert isinstance(error, Overloaded)
    assert error.retry_after_seconds == 1
    assert not made.providers["a"].calls


async def test_places_are_given_back(bench):
    made = bench(
        a=ScriptedProvider([FailureKind.OVERLOADED], ["x", FailureKind.CUT], ["yes"]),
        b=ScriptedProvider(["b"], ["x y"]),
    )
    for _ in range(3):
        await made.outcome()
    for name in made.router.catalogue.models:
        assert made.router.health(name).in_flight_count == 0


class TestAnUnknownReason:
    """`abort` and what else nobody knows: not "done"."""

    TIRED = Finished(FinishReason.OTHER, "tired")

    async def test_another_route_is_asked_while_nothing_was_sent(self, bench):
        made = bench(
            a=ScriptedProvider([[TextDelta("Half"), self.TIRED]]), b=ScriptedProvider(["Whole."])
        )
        events = await made.answer()
        assert text_of(events) == "Whole."
        assert [(each.outcome, each.error_kind) for each in attempts_of(events)] == [
            (AttemptOutcome.FAILED, "unknown_finish"),
            (AttemptOutcome.SUCCEEDED, ""),
        ]
        assert attempts_of(events)[0].usage.output_token_count > 0

    async def test_the_last_route_s_answer_is_passed_on_and_flagged(self, bench):
        events = await bench(a=ScriptedProvider([[TextDelta("Half"), self.TIRED]])).answer()
        assert text_of(events) == "Half"
        assert events[-1].finish_reason is FinishReason.OTHER
        assert events[-1].provider_finish_reason == "tired"

    async def test_without_any_text_the_call_fails(self, bench):
        _, error = await bench(a=ScriptedProvider([self.TIRED])).outcome()
        assert isinstance(error, ProviderUnavailable)

    async def test_after_text_was_sent_it_is_flagged(self, bench):
        made = bench(a=ScriptedProvider(["Half", self.TIRED]), b=ScriptedProvider(["no"]))
        events = await made.answer()
        assert text_of(events) == "Half"
        assert events[-1].finish_reason is FinishReason.OTHER
        assert not made.providers["b"].calls


class TestWhatAFailedAttemptCosts:
    @pytest.mark.parametrize("kind", [FailureKind.MALFORMED, FailureKind.CUT, FailureKind.STALLED])
    async def test_what_was_sent_is_booked_once_the_provider_had_accepted_it(self, bench, kind):
        made = bench(a=ScriptedProvider(["", kind]), b=ScriptedProvider(["yes"]))
        request = request_for(system_text="words " * 500)
        failed = [
            each
            for each in attempts_of(await made.answer(request))
            if each.outcome is not AttemptOutcome.SUCCEEDED
        ]
        assert failed
        assert all(each.usage.input_token_count > 500 for each in failed)
        assert all(each.cost_nano_usd > 0 and each.usage.estimated for each in failed)

    async def test_arguments_that_never_became_a_call_are_booked(self, bench):
        half = Unfinished('{"text": "' + "a long file " * 50)
        made = bench(a=ScriptedProvider([WROTE, half, FailureKind.STALLED], ["yes"]))
        first = attempts_of(await made.answer())[0]
        assert first.outcome is AttemptOutcome.CUT
        assert first.usage.output_token_count > 100

    async def test_a_refusal_costs_nothing(self, bench):
        made = bench(a=ScriptedProvider([FailureKind.OVERLOADED]), b=ScriptedProvider(["yes"]))
        assert attempts_of(await made.answer())[0].usage == Usage()

    async def test_what_the_caller_has_counted_is_not_counted_again(self, bench):
        request = request_for(input_token_count=777)
        [attempt] = attempts_of(await bench(a=ScriptedProvider(["yes"])).answer(request))
        assert attempt.usage.input_token_count == 777


async def test_an_answer_that_runs_away_is_ended(bench):
    request = request_for(parameters=SamplingParameters(max_output_token_count=10))
    endless = ScriptedProvider(["many words and more " * 20] * 100)
    events = await bench(a=endless).answer(request)
    assert events[-1].finish_reason is FinishReason.LENGTH
    [attempt] = attempts_of(events)
    assert attempt.outcome is AttemptOutcome.SUCCEEDED
    assert 200 < attempt.usage.output_token_count < 500
    assert attempt.usage.estimated
    assert endless.open_streams == 0


async def test_a_usage_that_cannot_be_costs_no_answer(bench):
    usage = Usage(input_token_count=-5, output_token_count=2**40)
    events = await bench(a=ScriptedProvider(["Hello there"], usage=usage)).answer()
    assert text_of(events) == "Hello there"
    assert events[-1].usage.estimated
    assert 0 < events[-1].cost_nano_usd < 10**6


@pytest.mark.parametrize("limit", [1, 2])
async def test_no_more_attempts_are_made_than_the_caller_has_money_for(bench, limit):
    made = bench(
        a=ScriptedProvider([FailureKind.OVERLOADED]),
        b=ScriptedProvider([FailureKind.OVERLOADED]),
        c=ScriptedProvider(["never asked"]),
    )
    events, error = await made.outcome(request_for(max_attempt_count=limit))
    assert isinstance(error, ProviderUnavailable)
    assert len(attempts_of(events)) == limit


async def test_a_stream_that_breaks_is_not_continued_beyond_the_attempts_allowed(bench):
    made = bench(a=ScriptedProvider(["half ", FailureKind.CUT]), b=ScriptedProvider(["whole"]))
    events, error = await made.outcome(request_for(max_attempt_count=1))
    assert isinstance(error, ProviderUnavailable)
    assert text_of(events) == "half "


class TestKeys:
    """Who is to blame for a refusal: the model, the request, the account or the key."""

    async def test_a_model_that_the_account_has_not_leaves_its_keys_alone(self, bench):
        keys = {"a": ["k1", "k2", "k3"]}
        a = ScriptedProvider([FailureKind.MODEL_NOT_FOUND], ["yes"])
        made = bench(a=a, b=ScriptedProvider(["from b"]), keys=keys)
        assert text_of(await made.answer()) == "from b"
        assert text_of(await made.answer()) == "yes"
        assert len(a.calls) == 2

    async def test_a_request_that_a_firewall_dislikes_leaves_the_key_alone(self, bench):
        a = ScriptedProvider([FailureKind.FORBIDDEN], ["yes"])
        made = bench(a=a)
        _, error = await made.outcome()
        assert isinstance(error, ProviderRefused)
        assert text_of(await made.answer()) == "yes"

    async def test_one_passing_401_costs_a_key_that_worked_nothing(self, bench):
        a = ScriptedProvider(["one"], [FailureKind.KEY_REFUSED], ["two"], ["three"])
        made = bench(a=a, b=ScriptedProvider(["from b"]))
        assert [text_of(await made.answer()) for _ in range(3)] == ["one", "two", "three"]

    async def test_a_key_that_is_refused_again_rests_and_comes_back(self, bench):
        refused = [FailureKind.KEY_REFUSED]
        clock = ManualClock()
        a = ScriptedProvider(["one"], refused, refused, ["two"])
        made = bench(a=a, b=ScriptedProvider(["from b"]), clock=clock)
        texts = [text_of(await made.answer()) for _ in range(3)]
        assert texts == ["one", "from b", "from b"]
        assert len(a.calls) == 3
        [health] = made.router.key_health()["a"]
        assert health.rest_reason == "key_refused"
        clock.advance(health.retry_after_seconds)
        assert text_of(await made.answer()) == "two"

    async def test_an_empty_account_s_other_key_is_asked(self, bench):
        a = ScriptedProvider([FailureKind.QUOTA_EXHAUSTED], ["yes"], ["yes"])
        made = bench(a=a, keys={"a": ["poor", "rich"]})
        for _ in range(2):
            assert text_of(await made.answer()) == "yes"
        assert [call.api_key for call in a.calls] == ["poor", "rich", "rich"]

    async def test_while_all_keys_rest_the_caller_learns_for_how_long(self, bench):
        made = bench(a=ScriptedProvider([FailureKind.KEY_REFUSED]), clock=ManualClock())
        await made.outcome()
        _, error = await made.outcome()
        assert isinstance(error, ProviderUnavailable)
        assert error.retry_after_seconds == 30


async def test_a_limit_that_can_never_pass_is_not_asked_again(bench):
    made = bench(a=ScriptedProvider([FailureKind.LIMIT_TOO_LOW]))
    _, error = await made.outcome()
    assert isinstance(error, InputTooLarge)
    assert len(made.providers["a"].calls) == 1
