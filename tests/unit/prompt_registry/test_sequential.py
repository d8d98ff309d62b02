import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.prompt_registry.experiments.sequential import (
    EventSplit,
    MeanSplit,
    log_e_of_events,
    log_e_of_means,
    log_e_of_rate,
    mixture,
    upper_rate,
)

shares = st.floats(0.01, 0.99)
counts = st.integers(0, 200)


def events(arm_share, arm, control):
    return EventSplit(arm_share=arm_share, arm_count=arm, control_count=control)


@given(st.floats(1.01, 20))
def test_the_stakes_sum_to_one(ratio):
    assert math.isclose(sum(mixture(ratio).values()), 1)
    assert mixture(ratio)[ratio] == 0.5


@given(shares, counts, counts)
def test_the_next_event_is_a_fair_bet_if_nothing_got_worse(share, arm, control):
    now = log_e_of_events([events(share, arm, control)], ratio=2)
    on_arm = log_e_of_events([events(share, arm + 1, control)], ratio=2)
    on_control = log_e_of_events([events(share, arm, control + 1)], ratio=2)
    expected = share * math.exp(on_arm - now) + (1 - share) * math.exp(on_control - now)
    assert math.isclose(expected, 1, rel_tol=1e-9)


@given(st.floats(0.001, 0.5), counts, counts)
def test_the_next_turn_is_a_fair_bet_at_the_known_rate(rate, count, more):
    def log_e(bad, total):
        return log_e_of_rate(bad, total, rate=rate, ratio=2)

    total = count + more
    now = log_e(count, total)
    expected = rate * math.exp(log_e(count + 1, total + 1) - now)
    expected += (1 - rate) * math.exp(log_e(count, total + 1) - now)
    assert math.isclose(expected, 1, rel_tol=1e-9)


@given(shares, counts, counts, counts, counts)
def test_the_order_of_epochs_does_not_matter(share, a, b, c, d):
    one, two = events(share, a, b), events(1 - share, c, d)
    assert math.isclose(
        log_e_of_events([one, two], ratio=2), log_e_of_events([two, one], ratio=2), abs_tol=1e-9
    )


def test_an_epoch_without_a_control_says_nothing():
    assert math.isclose(log_e_of_events([events(1.0, 50, 0)], ratio=2), 0, abs_tol=1e-12)


def test_a_version_that_always_fails_is_caught_by_its_fifth_failure():
    assert log_e_of_events([events(0.1, 5, 1)], ratio=2) > math.log(40)
    assert log_e_of_events([events(0.1, 1, 9)], ratio=2) < 1


@pytest.mark.parametrize(
    ("count", "total", "alpha", "expected"),
    [
        # One minus alpha to the power of one by the total.
        (0, 10, 0.05, 1 - 0.05**0.1),
        (0, 1_000, 0.01, 1 - 0.01**0.001),
        # Quantiles of the beta distribution, by R's qbeta(0.975, k + 1, n - k).
        (1, 10, 0.025, 0.44501611702),
        (200, 10_000, 0.025, 0.02293950),
        (10, 10, 0.05, 1.0),
    ],
)
def test_the_upper_bound_of_a_rate_is_exact(count, total, alpha, expected):
    assert math.isclose(upper_rate(count, total, alpha=alpha), expected, rel_tol=1e-4)


def costs(rng, mean, count):
    values = [rng.lognormvariate(0, 0.8) * mean for _ in range(count)]
    return count, sum(values), sum(each * each for each in values)


def test_a_mean_that_doubles_is_caught_and_one_that_stays_is_not():
    rng = random.Random(7)

    def log_e(mean, count=2_000):
        arm, control = costs(rng, mean, count), costs(rng, 100, count)
        split = MeanSplit(
            arm_count=arm[0],
            arm_sum=arm[1],
            arm_squares=arm[2],
            control_count=control[0],
            control_sum=control[1],
            control_squares=control[2],
        )
        return log_e_of_means([split], ratio=1.0, min_count=100)

    assert log_e(200) > math.log(400)
    assert log_e(100) < math.log(20)
    assert log_e(50) < 0
    assert log_e(1_000, count=50) == 0
