from hypothesis import given
from hypothesis import strategies as st
from parley_services.accounting.limits import rate_limiter as gcra

SECOND = 10**9
START = 1_000 * SECOND


def test_a_minutes_worth_passes_at_once_and_then_one_at_a_time():
    arrival = 0
    for _ in range(30):
        allowed = gcra.check(arrival, now_ns=START, count=1, per_minute=30)
        assert isinstance(allowed, gcra.Allowed)
        arrival = allowed.arrival_ns
    refused = gcra.check(arrival, now_ns=START, count=1, per_minute=30)
    assert refused == gcra.Refused(retry_after_ns=2 * SECOND)
    later = gcra.check(arrival, now_ns=START + 2 * SECOND, count=1, per_minute=30)
    assert isinstance(later, gcra.Allowed)


def test_a_count_above_the_limit_takes_the_whole_minute():
    allowed = gcra.check(0, now_ns=START, count=500, per_minute=100)
    assert allowed == gcra.Allowed(arrival_ns=START + 60 * SECOND)


def test_what_was_not_used_comes_back():
    taken = gcra.check(0, now_ns=START, count=100, per_minute=100)
    assert isinstance(taken, gcra.Allowed)
    arrival = gcra.give_back(taken.arrival_ns, count=40, per_minute=100)
    assert isinstance(gcra.check(arrival, now_ns=START, count=40, per_minute=100), gcra.Allowed)
    assert isinstance(gcra.check(arrival, now_ns=START, count=41, per_minute=100), gcra.Refused)


@given(
    per_minute=st.integers(1, 1000),
    steps=st.lists(st.integers(0, 5 * SECOND), min_size=1, max_size=300),
)
def test_no_span_lets_through_more_than_a_minutes_worth_and_its_rate(per_minute, steps):
    now, arrival, passed = START, 0, 0
    for step in steps:
        now += step
        match gcra.check(arrival, now_ns=now, count=1, per_minute=per_minute):
            case gcra.Allowed(arrival_ns=arrival):
                passed += 1
            case gcra.Refused(retry_after_ns=wait):
                later = gcra.check(arrival, now_ns=now + wait, count=1, per_minute=per_minute)
                assert isinstance(later, gcra.Allowed)
    # A unit's time is rounded down to nanoseconds, so one more may pass in a long span.
    assert passed <= per_minute + (now - START) * per_minute // (60 * SECOND) + 1
