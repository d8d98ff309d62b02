import pytest
from parley_services.model_router.attempt.failures import (
    FAILURE_ACTIONS,
    ROUTE_FAULTS,
    Failure,
    FailureKind,
)
from parley_services.model_router.attempt.retry_budget import RetryBudget
from parley_services.model_router.route.breaker import Breaker, BreakerPolicy, BreakerState

from tests.support.clock import ManualClock

FAULT = Failure(kind=FailureKind.SERVER_ERROR)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def breaker(clock):
    return Breaker(BreakerPolicy(min_calls=4), clock)


def call(breaker, failure=None):
    assert breaker.enter()
    breaker.leave(failure)


def open_up(breaker):
    for _ in range(4):
        call(breaker, FAULT)
    assert breaker.state is BreakerState.OPEN


def test_it_opens_when_half_of_enough_calls_fail(breaker):
    for failure in (FAULT, FAULT, None):
        call(breaker, failure)
    assert breaker.state is BreakerState.CLOSED
    call(breaker)
    assert breaker.error_rate == 0.5
    assert breaker.state is BreakerState.OPEN
    assert not breaker.enter()


def test_failures_that_are_not_the_routes_fault_do_not_count(breaker):
    for kind in set(FailureKind) - ROUTE_FAULTS - {FailureKind.RATE_LIMITED}:
        call(breaker, Failure(kind=kind))
    assert breaker.state is BreakerState.CLOSED


def test_old_failures_are_forgotten(breaker, clock):
    for _ in range(3):
        call(breaker, FAULT)
    clock.advance(31)
    call(breaker, FAULT)
    assert breaker.state is BreakerState.CLOSED


def test_one_probe_passes_and_closes_it(breaker, clock):
    open_up(breaker)
    clock.advance(5)
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.enter()
    assert not breaker.enter()
    breaker.leave(None)
    assert breaker.state is BreakerState.CLOSED


def test_a_probe_that_fails_opens_it_for_twice_as_long(breaker, clock):
    open_up(breaker)
    for seconds in (5, 10, 20, 40, 60, 60):
        assert breaker.retry_after_seconds == seconds
        clock.advance(seconds)
        call(breaker, FAULT)
    clock.advance(60)
    call(breaker)
    open_up(breaker)
    assert breaker.retry_after_seconds == 5


def test_a_probe_that_was_cancelled_leaves_room_for_another(breaker, clock):
    open_up(breaker)
    clock.advance(5)
    assert breaker.enter()
    breaker.leave(None, was_cancelled=True)
    assert breaker.enter()


def test_being_limited_keeps_calls_away_for_as_long_as_asked(breaker, clock):
    call(breaker, Failure(kind=FailureKind.RATE_LIMITED, retry_after_seconds=3))
    assert not breaker.enter()
    assert breaker.retry_after_seconds == 3
    clock.advance(3)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.error_rate == 0


def test_every_failure_has_a_treatment():
    assert set(FAILURE_ACTIONS) == set(FailureKind)


def test_extra_calls_are_a_share_of_all():
    budget = RetryBudget(0.1, reserve=5)
    assert [budget.take() for _ in range(7)] == [True] * 5 + [False] * 2
    allowed = 0
    for _ in range(1000):
        budget.record_call()
        allowed += budget.take()
    assert 99 <= allowed <= 101


def test_a_quiet_time_saves_up_to_the_reserve_only():
    budget = RetryBudget(0.1, reserve=5)
    for _ in range(1000):
        budget.record_call()
    assert sum(budget.take() for _ in range(100)) == 5
