import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.accounting.limits.rate_limiter import NOTHING, Passed, RateLimiter, Refused

SECOND = 10**9
START = 1_000_000 * SECOND


def check(passed, now_ns=START, count=1, per_minute=30, limiter=None):
    limiter = limiter or RateLimiter()
    return limiter.check(passed, now_ns=now_ns, count=count, per_minute=per_minute)


def filled(count, now_ns=START, limiter=None):
    passed = NOTHING
    for _ in range(count):
        passed = check(passed, now_ns, limiter=limiter)
        assert isinstance(passed, Passed)
    return passed


def test_a_minutes_worth_passes_at_once_and_then_none_until_it_is_a_minute_old():
    passed = filled(30)
    refused = check(passed)
    assert refused == Refused(retry_after_ns=61 * SECOND)
    assert isinstance(check(passed, START + 60 * SECOND), Refused)
    assert isinstance(check(passed, START + 61 * SECOND), Passed)


def test_a_longer_window_is_a_burst():
    limiter = RateLimiter(120)
    passed = filled(60, limiter=limiter)
    assert isinstance(check(passed, limiter=limiter), Refused)
    assert isinstance(check(passed, START + 60 * SECOND, limiter=limiter), Refused)
    assert isinstance(check(passed, START + 122 * SECOND, limiter=limiter), Passed)


def test_a_shorter_window_evens_out():
    limiter = RateLimiter(10)
    passed = filled(5, limiter=limiter)
    assert isinstance(check(passed, limiter=limiter), Refused)
    assert isinstance(check(passed, START + 11 * SECOND, limiter=limiter), Passed)


def test_a_count_above_the_limit_takes_all_of_it():
    passed = check(NOTHING, count=500, per_minute=100)
    assert isinstance(passed, Passed)
    assert isinstance(check(passed, per_minute=100), Refused)


def test_what_was_not_used_comes_back_where_it_was_charged():
    limiter = RateLimiter()
    taken = check(NOTHING, count=100, per_minute=100)
    later = START + 5 * SECOND
    left = limiter.correct(taken, charged_ns=START, now_ns=later, count=40)
    assert isinstance(check(left, later, count=40, per_minute=100), Passed)
    assert isinstance(check(left, later, count=41, per_minute=100), Refused)
    assert limiter.correct(taken, charged_ns=START - SECOND, now_ns=later, count=40) == taken


def test_what_was_used_on_top_counts_from_now_on():
    limiter = RateLimiter()
    taken = check(NOTHING, count=50, per_minute=100)
    more = limiter.correct(taken, charged_ns=START, now_ns=START, count=-45)
    assert isinstance(check(more, count=6, per_minute=100), Refused)
    assert isinstance(check(more, count=5, per_minute=100), Passed)


def test_what_a_wrong_clock_charged_in_the_future_counts_for_a_minute_only():
    passed = filled(30, START + 400 * 86_400 * SECOND)
    refused = check(passed)
    assert isinstance(refused, Refused)
    assert refused.retry_after_ns <= 61 * SECOND
    assert isinstance(check(RateLimiter().recent(passed, START), START + 62 * SECOND), Passed)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_it_is_stored_as_text(count):
    passed = Passed(parts=tuple((1000 + n, n + 1) for n in range(count)))
    assert Passed.of(passed.text) == passed


@given(
    per_minute=st.integers(1, 200),
    window_seconds=st.sampled_from([1, 10, 60, 120]),
    steps=st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=300),
)
def test_any_span_as_long_as_the_window_lets_through_its_share_at_most(
    per_minute, window_seconds, steps
):
    limiter = RateLimiter(window_seconds)
    now, passed, times = START, NOTHING, []
    for step in steps:
        now += step
        match limiter.check(passed, now_ns=now, count=1, per_minute=per_minute):
            case Refused(retry_after_ns=wait):
                later = limiter.check(passed, now_ns=now + wait, count=1, per_minute=per_minute)
                assert isinstance(later, Passed)
            case after:
                passed = after
                times.append(now)
    limit = max(1, per_minute * window_seconds // 60)
    spans = [
        sum(start <= time < start + window_seconds * SECOND for time in times) for start in times
    ]
    assert max(spans, default=0) <= limit


@given(per_minute=st.integers(1, 200))
def test_an_even_load_at_the_limit_is_hardly_refused(per_minute):
    limiter, passed, refused = RateLimiter(), NOTHING, 0
    pause = 61 * SECOND // per_minute + 1
    for number in range(3 * per_minute):
        match limiter.check(passed, now_ns=START + number * pause, count=1, per_minute=per_minute):
            case Refused():
                refused += 1
            case after:
                passed = after
    assert refused == 0
