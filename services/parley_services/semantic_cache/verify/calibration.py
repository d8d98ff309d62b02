"""
Lets each entry learn which questions its answer serves: the policy `verified`.

The idea is that of Schroeder et al., "vCache: Verified Semantic Prompt Caching"
(arXiv 2502.03771): an entry has a logistic curve of its own from similarity to the
probability of being right; while that is too uncertain to hold an error bound set by the
operator, the cache *explores*: it lets the model answer and learns whether both answers
agree. Two things differ here. The curve runs over the log-odds of the verifier, which tells
more than a cosine. And it starts from the verifier's own judgement, held loosely, instead of
from nothing, so that an entry needs fewer samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final

MAX_OBSERVATIONS: Final = 64
"""What an entry remembers; the oldest goes first."""

_MAX_SCORE: Final = 8.0
_PRIOR_MEAN: Final = (0.0, 1.0)
_PRIOR_VARIANCE: Final = (4.0, 0.25)
"""Of the curve's offset and slope. With the verifier's judgement right, they are 0 and 1; an
entry may be off by a factor of seven in its odds."""

_STEPS: Final = 12
_DOUBTS: Final = (
    # The chance that the curve is lower than it is taken for, and the normal deviate of it.
    (0.001, 3.0902),
    (0.002, 2.8782),
    (0.005, 2.5758),
    (0.01, 2.3263),
    (0.02, 2.0537),
    (0.05, 1.6449),
    (0.1, 1.2816),
    (0.2, 0.8416),
    (0.3, 0.5244),
    (0.5, 0.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Whether an entry's answer was right for a question."""

    score: float
    """How near the question was, as `score_of` says."""

    correct: bool


def score_of(probability: float) -> float:
    """Return the log-odds of *probability*, -8 to 8: where a curve is looked up."""
    inside = min(max(probability, 1e-6), 1.0 - 1e-6)
    return min(max(log(inside / (1.0 - inside)), -_MAX_SCORE), _MAX_SCORE)


def explore_probability(
    observations: Sequence[Observation], score: float, *, max_error_rate: float
) -> float:
    """
    Return how often a question of *score* must be explored for the bound to hold, 0 to 1.

    With *doubt* the curve lies below its lower confidence bound, so the answer is right with
    at least (1 - doubt) x bound. If that is r, answering from the cache with a chance of
    *max_error_rate* / (1 - r) makes at most that share of errors; of all doubts the one
    that explores least is taken (the paper's equation for its tau).
    """
    (offset, slope), (offset_variance, covariance, slope_variance) = _fitted(observations)
    mean = offset + slope * score
    spread = sqrt(
        max(0.0, offset_variance + 2 * covariance * score + slope_variance * score * score)
    )
    least = 1.0
    for doubt, deviate in _DOUBTS:
        right = (1.0 - doubt) * _logistic(mean - deviate * spread)
        if right >= 1.0 - max_error_rate:
            return 0.0
        least = min(least, 1.0 - max_error_rate / (1.0 - right))
    return max(0.0, least)


def _fitted(
    observations: Sequence[Observation],
) -> tuple[tuple[float, float], tuple[float, float, float]]:
    """
    Return offset and slope of the curve, and their variances with the covariance between.

    The most probable ones by Newton's method, and Laplace's approximation around them.
    """
    offset, slope = _PRIOR_MEAN
    precisions = (1.0 / _PRIOR_VARIANCE[0], 1.0 / _PRIOR_VARIANCE[1])
    for _ in range(_STEPS):
        gradient_offset = precisions[0] * (offset - _PRIOR_MEAN[0])
        gradient_slope = precisions[1] * (slope - _PRIOR_MEAN[1])
        a, b, c = precisions[0], 0.0, precisions[1]
        for each in observations:
            probability = _logistic(offset + slope * each.score)
            off = probability - each.correct
            gradient_offset += off
            gradient_slope += off * each.score
            weight = probability * (1.0 - probability)
            a += weight
            b += weight * each.score
            c += weight * each.score * each.score
        determinant = a * c - b * b
        step_offset = (c * gradient_offset - b * gradient_slope) / determinant
        step_slope = (a * gradient_slope - b * gradient_offset) / determinant
        # Whole steps may jump over the optimum where all answers were right.
        shrink = min(1.0, 2.0 / max(abs(step_offset), abs(step_slope), 1e-9))
        offset -= shrink * step_offset
        slope -= shrink * step_slope
        if not observations or max(abs(step_offset), abs(step_slope)) < 1e-4:
            break
    return (offset, slope), (c / determinant, -b / determinant, a / determinant)


def _logistic(value: float) -> float:
    if value >= 0:
        return 1.0 / (1.0 + exp(-value))
    grown = exp(value)
    return grown / (1.0 + grown)
