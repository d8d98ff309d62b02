import asyncio

import pytest
from parley_services.kit.chat.attempt import AttemptKind
from parley_services.kit.errors import Overloaded, ProviderUnavailable
from parley_services.kit.rpc.stream_buffer import StreamBuffer
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.attempt.shadow import ShadowPool
from parley_services.model_router.route.breaker import BreakerPolicy, BreakerState
from parley_services.model_router.route.limiter import LimiterPolicy
from parley_services.model_router.servicer import run_shadow
from structlog.testing import capture_logs

from tests.support.clock import ManualClock
from tests.support.model_router import ScriptedProvider
from tests.unit.model_router.conftest import attempts_of, request_for, text_of

SHADOW = request_for(kind=AttemptKind.SHADOW)


async def test_a_shadow_call_is_booked_as_such(bench):
    events = await bench(a=ScriptedProvider(["yes"])).answer(SHADOW)
    assert text_of(events) == "yes"
    [attempt] = attempts_of(events)
    assert attempt.kind is AttemptKind.SHADOW


@pytest.mark.parametrize("script", [[FailureKind.SERVER_ERROR], ["half", FailureKind.CUT]])
async def test_a_shadow_call_is_made_once_by_the_first_route(bench, script):
    made = bench(a=ScriptedProvider(script), b=ScriptedProvider(["no"]))
    events, error = await made.outcome(SHADOW)
    assert isinstance(error, ProviderUnavailable)
    assert len(attempts_of(events)) == len(made.providers["a"].calls) == 1
    assert not made.providers["b"].calls


async def test_what_happens_to_shadow_calls_teaches_the_routes_nothing(bench):
    limited = ProviderError(FailureKind.RATE_LIMITED, retry_after_seconds=60)
    made = bench(
        a=ScriptedProvider(*[[FailureKind.SERVER_ERROR]] * 10, [limited], ["yes"]),
        breaker_policy=BreakerPolicy(min_calls=1),
        limiter_policy=LimiterPolicy(first_limit=8),
        clock=ManualClock(),
    )
    for _ in range(11):
        await made.outcome(SHADOW)
    health = made.router.health("a")
    assert (health.breaker, health.error_rate) == (BreakerState.CLOSED, 0.0)
    assert (health.in_flight_count, health.concurrency_limit) == (0, 8)
    assert health.first_token_p50_seconds is None
    assert text_of(await made.answer()) == "yes"


async def test_a_key_that_is_refused_to_a_shadow_call_is_dead(bench):
    made = bench(
        a=ScriptedProvider([FailureKind.KEY_REFUSED], ["yes"]), keys={"a": ["dead", "alive"]}
    )
    await made.outcome(SHADOW)
    await made.answer()
    assert [call.api_key for call in made.providers["a"].calls] == ["dead", "alive"]


async def test_a_shadow_call_is_no_probe_of_an_ill_route(bench):
    clock = ManualClock()
    made = bench(
        a=ScriptedProvider([FailureKind.OVERLOADED], ["yes"]),
        b=ScriptedProvider(["b"]),
        breaker_policy=BreakerPolicy(min_calls=1),
        clock=clock,
    )
    await made.answer()
    clock.advance(5)
    events, error = await made.outcome(SHADOW)
    assert isinstance(error, ProviderUnavailable)
    assert not attempts_of(events)
    assert text_of(await made.answer()) == "yes"


async def test_what_nobody_is_left_to_book_is_logged(bench):
    made = bench(a=ScriptedProvider(["yes"]))
    call, buffer = made.router.start(SHADOW, timeout_seconds=10), StreamBuffer()
    buffer.abandon()
    with capture_logs() as lines:
        await run_shadow(call, buffer)
    [line] = lines
    assert (line["event"], line["request_id"]) == ("shadow_call_unheard", "r1")
    assert line["cost_nano_usd"] > 0


async def test_the_pool_is_bounded_and_says_so():
    pool, go_on = ShadowPool(1), asyncio.Event()

    async def work():
        await go_on.wait()

    first = pool.start(work)
    with pytest.raises(Overloaded) as caught:
        pool.start(work)
    assert caught.value.retry_after_seconds > 0
    go_on.set()
    await first
    pool.start(work)
    await pool.aclose()
    assert len(pool) == 0


async def test_the_end_of_the_service_cancels_all():
    pool, cancelled = ShadowPool(2), []

    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    pool.start(work)
    pool.start(work)
    await asyncio.sleep(0)
    await pool.aclose()
    assert len(cancelled) == 2
