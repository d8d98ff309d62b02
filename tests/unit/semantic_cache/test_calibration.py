import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.semantic_cache.verify.calibration import (
    Observation,
    explore_probability,
    score_of,
)

RIGHT = [Observation(score=3.0, correct=True)] * 40
WRONG = [Observation(score=3.0, correct=False)] * 10


def test_an_entry_that_knows_nothing_is_mostly_explored():
    assert explore_probability([], 3.0, max_error_rate=0.02) > 0.9


def test_right_answers_end_the_exploring_and_wrong_ones_bring_it_back():
    chances = [
        explore_probability(seen, 3.0, max_error_rate=0.05)
        for seen in ([], RIGHT[:5], RIGHT, [*RIGHT[:10], *WRONG])
    ]
    assert chances[0] > chances[1] > chances[2]
    assert chances[3] > chances[0] - 0.1


def test_a_higher_bound_and_a_nearer_question_are_explored_less():
    by_bound = [explore_probability(RIGHT, 3.0, max_error_rate=e) for e in (0.01, 0.05, 0.2)]
    assert by_bound == sorted(by_bound, reverse=True)
    by_score = [explore_probability(RIGHT, score, max_error_rate=0.02) for score in (1.0, 3.0, 6.0)]
    assert by_score == sorted(by_score, reverse=True)


@given(
    st.lists(st.builds(Observation, score=st.floats(-8, 8), correct=st.booleans()), max_size=64),
    st.floats(-8, 8),
    st.floats(0.001, 0.5),
)
def test_every_curve_has_a_chance_between_none_and_one(observations, score, max_error_rate):
    chance = explore_probability(observations, score, max_error_rate=max_error_rate)
    assert 0.0 <= chance <= 1.0


def test_the_bound_holds_where_the_verifier_is_too_sure():
    # The verifier says 95 %, the truth is 70 %: the entry finds out.
    draw = random.Random(5)
    observations: list[Observation] = []
    errors = 0
    for _ in range(2_000):
        right = draw.random() < 0.7
        if draw.random() < explore_probability(observations, 3.0, max_error_rate=0.05):
            observations = [*observations, Observation(score=3.0, correct=right)][-64:]
        else:
            errors += not right
    assert errors / 2_000 <= 0.05


def test_scores_are_log_odds_within_bounds():
    assert score_of(0.5) == pytest.approx(0.0)
    assert score_of(0.0) == -8.0
    assert score_of(1.0) == 8.0
