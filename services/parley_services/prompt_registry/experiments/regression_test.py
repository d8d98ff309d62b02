"""
Judges a version against the one before it. Imports neither grpc nor protobuf.

Two rules decide together. A version is worse in proportion when it has twice the errors of
the one before it, over at least 100 turns; that alone would often be chance, so nothing is
undone before the sequential test agrees. And the test decides alone where a change is proved
though it is smaller, or so great that it shows within fewer turns.

The chance of a false stop, `Guard.alpha`, is shared: half of it for errors, the rest in
equal parts for the other measures that are watched, and all of it among the arms.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from parley_services.prompt_registry.experiments.experiment import (
    Arm,
    Experiment,
    ExperimentMode,
    Guard,
)
from parley_services.prompt_registry.experiments.rollback_records import Breach
from parley_services.prompt_registry.experiments.sequential import (
    EventSplit,
    MeanSplit,
    log_e_of_events,
    log_e_of_means,
    log_e_of_rate,
    upper_rate,
)
from parley_services.prompt_registry.outcomes.outcome import Tally, TallyKey, sum_of

ERROR_RATE: Final = "error_rate"
GUARDRAIL_BLOCK_RATE: Final = "guardrail_block_rate"
LOW_RATING_RATE: Final = "low_rating_rate"
SLOW_RATE: Final = "slow_rate"
MEAN_COST: Final = "mean_cost_nano_usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Events:
    """A kind of bad event that turns have or not."""

    measure: str
    words: str
    count: Callable[[Tally], int]
    total: Callable[[Tally], int]


def judge_experiment(
    experiment: Experiment, tallies: Mapping[TallyKey, Tally]
) -> tuple[Arm, Breach] | None:
    """
    Return the first arm that is proved to be worse than the control, and how, or None.

    *tallies* are all counts of the template. Turns that were under way while the split
    changed count with the new one, which is a few of many.
    """
    if experiment.mode is ExperimentMode.SHADOW:
        return None
    alpha = experiment.guard.alpha / (len(experiment.arms) - 1)
    for arm in experiment.arms[1:]:
        pairs = _pairs(experiment, arm, tallies)
        breach = _judge_pairs(pairs, experiment.guard, alpha)
        if breach is not None:
            return arm, breach
    return None


def judge_label(before: Tally, after: Tally, guard: Guard) -> Breach | None:
    """
    Return how the version that a label moved to is proved to be worse, or None.

    *before* are the counts of the version that the label left, *after* those of the new one
    since the move. Their times differ, so the rate of *before* is taken at the upper end of
    its confidence, for half of the chance of a false stop. Nothing is judged by fewer turns
    before than `Guard.min_request_count`, nor is cost.
    """
    events = _watched(guard)
    for kind, share in zip(events, _shares(len(events)), strict=True):
        total, count = kind.total(after), kind.count(after)
        if kind.total(before) < guard.min_request_count or not count:
            continue
        alpha = guard.alpha * share / 2
        known = kind.count(before) / kind.total(before)
        rate = upper_rate(kind.count(before), kind.total(before), alpha=alpha)
        if rate >= 1 or count > total:
            continue
        log_e = log_e_of_rate(count, total, rate=rate, ratio=guard.max_error_ratio)
        if log_e >= math.log(1 / alpha):
            return _breach(kind, guard, count, total, known, kind.total(before))
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """An arm and the control in one epoch."""

    share: float
    arm: Tally
    control: Tally


def _pairs(experiment: Experiment, arm: Arm, tallies: Mapping[TallyKey, Tally]) -> list[_Pair]:
    control = experiment.control
    pairs = []
    for epoch in range(1, experiment.epoch + 1):
        keys = [
            TallyKey(
                template=experiment.template,
                version=each.version,
                experiment_id=experiment.experiment_id,
                arm=each.name,
                epoch=epoch,
            )
            for each in (arm, control)
        ]
        of_arm, of_control = (tallies.get(key, Tally()) for key in keys)
        if of_arm.request_count or of_control.request_count:
            share = experiment.share_of(arm, epoch)
            pairs.append(_Pair(share=share, arm=of_arm, control=of_control))
    return pairs


def _judge_pairs(pairs: list[_Pair], guard: Guard, alpha: float) -> Breach | None:
    if not pairs:
        return None
    arm, control = sum_of(each.arm for each in pairs), sum_of(each.control for each in pairs)
    events = _watched(guard)
    watches_cost = guard.max_cost_ratio > 0
    shares = _shares(len(events) + watches_cost)
    for kind, share in zip(events, shares, strict=False):
        log_e = log_e_of_events(
            (
                EventSplit(
                    arm_share=each.share,
                    arm_count=kind.count(each.arm),
                    control_count=kind.count(each.control),
                )
                for each in pairs
            ),
            ratio=guard.max_error_ratio,
        )
        if log_e >= math.log(1 / (alpha * share)):
            known = kind.count(control) / max(1, kind.total(control))
            total = kind.total(control)
            return _breach(kind, guard, kind.count(arm), kind.total(arm), known, total)
    if watches_cost:
        return _judge_cost(pairs, arm, control, guard, alpha * shares[-1])
    return None


def _judge_cost(
    pairs: list[_Pair], arm: Tally, control: Tally, guard: Guard, alpha: float
) -> Breach | None:
    splits = [
        MeanSplit(
            arm_count=each.arm.request_count,
            arm_sum=each.arm.cost_nano_usd / 1_000,
            arm_squares=each.arm.cost_squares,
            control_count=each.control.request_count,
            control_sum=each.control.cost_nano_usd / 1_000,
            control_squares=each.control.cost_squares,
        )
        for each in pairs
    ]
    ratio, least = guard.max_cost_ratio, guard.min_request_count
    if log_e_of_means(splits, ratio=ratio, min_count=least) < math.log(1 / alpha):
        return None
    observed = arm.cost_nano_usd / arm.request_count
    bound = ratio * control.cost_nano_usd / control.request_count
    return Breach(
        measure=MEAN_COST,
        observed=observed,
        bound=bound,
        reason=(
            f"A turn cost {observed:,.0f} nano-dollars over {arm.request_count} turns, and the "
            f"bound is {bound:,.0f}, {ratio:g} times the control's."
        ),
    )


def _watched(guard: Guard) -> list[_Events]:
    """Return the kinds of events that *guard* watches, errors first."""
    watched = [
        _Events(
            measure=ERROR_RATE,
            words="failed",
            count=lambda tally: tally.error_count,
            total=lambda tally: tally.request_count,
        ),
        _Events(
            measure=GUARDRAIL_BLOCK_RATE,
            words="were blocked by a guardrail",
            count=lambda tally: tally.guardrail_block_count,
            total=lambda tally: tally.request_count,
        ),
        _Events(
            measure=LOW_RATING_RATE,
            words="were rated 1 or 2",
            count=lambda tally: tally.low_rating_count,
            total=lambda tally: tally.request_count,
        ),
    ]
    bound = guard.max_latency_seconds
    if bound is not None:
        watched.append(
            _Events(
                measure=SLOW_RATE,
                words=f"took longer than {bound:g} s",
                count=lambda tally: tally.latency.count_above(bound),
                total=lambda tally: tally.request_count,
            )
        )
    return watched


def _shares(count: int) -> list[float]:
    """Return how *count* measures share the chance of a false stop, errors first."""
    return [1.0] if count == 1 else [0.5, *[0.5 / (count - 1)] * (count - 1)]


def _breach(
    kind: _Events, guard: Guard, count: int, total: int, known: float, known_total: int
) -> Breach:
    observed = count / total if total else 0.0
    in_proportion = total >= guard.min_request_count and observed >= guard.max_error_ratio * known
    bound = guard.max_error_ratio * known if in_proportion else known
    return Breach(
        measure=kind.measure,
        observed=observed,
        bound=bound,
        reason=(
            f"{count} of {total} turns {kind.words} ({observed:.2%}), and {known:.2%} of "
            f"{known_total} with the version before."
        ),
    )
