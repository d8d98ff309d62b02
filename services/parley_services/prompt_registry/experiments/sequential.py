"""
Tests that may be looked at after every turn. Imports neither grpc nor protobuf.

Each returns the logarithm of an *e-value*: a number that, if nothing got worse, exceeds
1/alpha at any time at all with a chance of at most alpha (Ville's inequality). So a rollback
at that threshold is false with at most that chance, however often one looks, and however
many replicas look. See Ramdas, Grünwald, Vovk, Shafer: "Game-Theoretic Statistics and Safe
Anytime-Valid Inference", Statistical Science 2023, https://arxiv.org/abs/2210.01948.

All need counts only, no order of turns, so counts that replicas add up are enough.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSplit:
    """Bad events of an arm and of the control, while the arm had one share of the traffic."""

    arm_share: float
    """Share of the arm in the traffic of both, 0 to 1."""
    arm_count: int
    control_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSplit:
    """Sums of a value over the turns of an arm and of the control, in the same time."""

    arm_count: int
    arm_sum: float
    arm_squares: float
    control_count: int
    control_sum: float
    control_squares: float


OTHER_RATIOS: Final = (1.25, 1.5, 3.0, 5.0, 10.0)
"""Ratios that the test looks for beside the one that is asked for. They share half of its
stake, so that a small change is found late rather than never and a great one at once."""


def mixture(ratio: float) -> Mapping[float, float]:
    """Return the ratios that a test for *ratio* stakes on, with their shares of the stake."""
    others = [each for each in OTHER_RATIOS if each != ratio]
    return {ratio: 0.5, **dict.fromkeys(others, 0.5 / len(others))}


def log_e_of_events(splits: Iterable[EventSplit], *, ratio: float) -> float:
    """
    Test whether bad events are more frequent in an arm than in the control.

    If the arm is no worse, each event falls on it with at most its share of the traffic,
    whatever the rate of events is and however it changes over time: a coin of known bias.
    Under a *ratio* r of rates that chance is w*r / (w*r + 1 - w). This is the mixture
    sequential probability ratio test of that coin (Robbins: "Statistical Methods Related to
    the Law of the Iterated Logarithm", 1970; for counts by arm: Lindon and Malek,
    "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022,
    https://arxiv.org/abs/2011.03567).
    """
    counted = list(splits)
    terms = []
    for each, stake in mixture(ratio).items():
        log_ratio = math.log(stake)
        for split in counted:
            log_both = math.log(split.arm_share * each + 1 - split.arm_share)
            log_ratio += split.arm_count * (math.log(each) - log_both)
            log_ratio -= split.control_count * log_both
        terms.append(log_ratio)
    return _log_sum(terms)


def log_e_of_rate(count: int, total: int, *, rate: float, ratio: float) -> float:
    """
    Test whether *count* bad events in *total* turns are more than a known *rate* gives.

    The same test for one sample. *rate* is above 0 and below 1.
    """
    terms = []
    for each, stake in mixture(ratio).items():
        worse = min(each * rate, (1 + rate) / 2)
        terms.append(
            math.log(stake)
            + count * math.log(worse / rate)
            + (total - count) * math.log((1 - worse) / (1 - rate))
        )
    return _log_sum(terms)


def upper_rate(count: int, total: int, *, alpha: float) -> float:
    """
    Return a rate that the true one exceeds with a chance of at most *alpha*.

    The exact bound of a binomial sample, *total* above 0, for one look at it (Clopper and
    Pearson: "The Use of Confidence or Fiducial Limits Illustrated in the Case of the
    Binomial", Biometrika 1934).
    """
    low, high = count / total, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _log_chance_of_at_most(count, total, middle) > math.log(alpha):
            low = middle
        else:
            high = middle
    return high


def log_e_of_means(splits: Sequence[MeanSplit], *, ratio: float, min_count: int) -> float:
    """
    Test whether the mean of an arm is more than *ratio* times that of the control.

    An asymptotic test, since costs have no bound: the mixture test of a normal mean with
    the variance of the sample (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: "Time-uniform
    central limit theory and asymptotic confidence sequences", Annals of Statistics 2024,
    https://arxiv.org/abs/2103.06476). Times with fewer than *min_count* turns of the arm or
    the control do not count; without any, 0 is returned.
    """
    score = information = scale = 0.0
    for split in splits:
        if min(split.arm_count, split.control_count) < min_count:
            continue
        arm_mean, arm_variance = _moments(split.arm_count, split.arm_sum, split.arm_squares)
        control_mean, control_variance = _moments(
            split.control_count, split.control_sum, split.control_squares
        )
        variance = (
            arm_variance / split.arm_count + ratio * ratio * control_variance / split.control_count
        )
        if variance <= 0 or control_mean <= 0:
            continue
        information += 1 / variance
        score += (arm_mean - ratio * control_mean) / variance
        scale = max(scale, _EFFECT * control_mean)
    if not information:
        return 0.0
    spread = 1 + information * scale * scale
    upward = 0.5 * math.erfc(-score * scale / math.sqrt(2 * spread))
    if upward <= 0:
        return -math.inf
    return (
        math.log(2 * upward) - math.log(spread) / 2 + score * score * scale * scale / (2 * spread)
    )


_EFFECT = 0.25
"""The change of a mean, as a share of it, that the test of means is best at."""


def _moments(count: int, total: float, squares: float) -> tuple[float, float]:
    mean = total / count
    return mean, max(0.0, squares / count - mean * mean) * count / max(1, count - 1)


def _log_chance_of_at_most(count: int, total: int, p: float) -> float:
    """Return the logarithm of the chance of *count* or fewer of *total*, each of chance *p*."""
    if count == total or p <= 0:
        return 0.0
    if p >= 1:
        return -math.inf
    log_last = (
        math.lgamma(total + 1)
        - math.lgamma(count + 1)
        - math.lgamma(total - count + 1)
        + count * math.log(p)
        + (total - count) * math.log1p(-p)
    )
    # The other terms by their ratio to the last; above the mean they only get smaller.
    term = whole = 1.0
    for k in range(count, 0, -1):
        term *= k * (1 - p) / ((total - k + 1) * p)
        whole += term
        if term < 1e-12 * whole:
            break
    return min(0.0, log_last + math.log(whole))


def _log_sum(terms: Sequence[float]) -> float:
    greatest = max(terms)
    return greatest + math.log(math.fsum(math.exp(each - greatest) for each in terms))
