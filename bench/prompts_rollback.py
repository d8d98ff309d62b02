"""
How often a rollback is false, and how soon a worse version is caught.

Every run peeks after every request. `python -m bench.prompts_rollback [runs]`; 10,000 runs
take about three minutes on one core.
"""

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from parley_services.prompt_registry.experiments.experiment import (
    Arm,
    Experiment,
    ExperimentState,
    Guard,
)
from parley_services.prompt_registry.experiments.regression_test import (
    judge_experiment,
    judge_label,
)
from parley_services.prompt_registry.experiments.sequential import (
    EventSplit,
    MeanSplit,
    log_e_of_events,
    log_e_of_means,
    log_e_of_rate,
    mixture,
    upper_rate,
)
from parley_services.prompt_registry.outcomes.outcome import Tally, TallyKey
from rich.console import Console
from rich.table import Table

SEED = 20260101
CHUNK = 250

GUARD = Guard(max_cost_ratio=1.2)
"""What a run watches: errors, blocks, low ratings and cost, at alpha 0.05 in all."""

ALPHA_ERRORS = GUARD.alpha / 2
ALPHA_OTHERS = GUARD.alpha / 2 / 3

BASE_RATE = 0.02
BLOCK_RATE = 0.01
LOW_RATING_RATE = 0.005
COST_SPREAD = 0.8
"""Standard deviation of the logarithm of a turn's cost."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """How many runs stopped, and after how many requests of the new version."""

    stopped: NDArray[np.int64]
    """Requests of the new version at the stop; -1 for a run that did not stop."""
    naive: NDArray[np.int64]
    """The same for the rule of twice the error rate over 100 requests alone."""

    def share(self, stops: NDArray[np.int64]) -> float:
        return float(np.mean(stops >= 0))


def log_e_events(arm: Array, control: Array, share: float, ratio: float) -> Array:
    """`log_e_of_events` for whole arrays of counts."""
    total = np.full(arm.shape, -np.inf)
    for each, stake in mixture(ratio).items():
        log_both = math.log(share * each + 1 - share)
        term = math.log(stake) + arm * (math.log(each) - log_both) - control * log_both
        np.logaddexp(total, term, out=total)
    return total


def log_e_rate(count: Array, seen: Array, rate: float, ratio: float) -> Array:
    """`log_e_of_rate` for whole arrays of counts."""
    total = np.full(count.shape, -np.inf)
    for each, stake in mixture(ratio).items():
        worse = min(each * rate, (1 + rate) / 2)
        term = math.log(stake) + count * math.log(worse / rate)
        term += (seen - count) * math.log((1 - worse) / (1 - rate))
        np.logaddexp(total, term, out=total)
    return total


def log_e_means(costs: Array, is_arm: NDArray[np.bool_], ratio: float, least: int) -> Array:
    """`log_e_of_means` of one split for whole arrays, after every request."""
    sums = []
    for chosen in (is_arm, ~is_arm):
        n = np.maximum(np.cumsum(chosen, axis=1), 1)
        mean = np.cumsum(costs * chosen, axis=1) / n
        square = np.cumsum(costs * costs * chosen, axis=1) / n
        variance = np.maximum(square - mean * mean, 1e-12) * n / np.maximum(n - 1, 1)
        sums.append((n, mean, variance))
    (n1, m1, v1), (n0, m0, v0) = sums
    variance = v1 / n1 + ratio * ratio * v0 / n0
    information, scale = 1 / variance, 0.25 * m0
    score = (m1 - ratio * m0) * information
    spread = 1 + information * scale * scale
    z = score * scale / np.sqrt(spread)
    # Above this bound only upward scores matter, for which the normal's tail is near 1.
    result = np.where(z > 1, math.log(2) - np.log(spread) / 2 + z * z / 2, 0.0)
    return np.where(np.minimum(n1, n0) >= least, result, 0.0)


def first_stop(stops: NDArray[np.bool_], arm_requests: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the requests of the new version at each run's first stop, -1 without one."""
    index = np.argmax(stops, axis=1)
    rows = np.arange(len(stops))
    return np.where(stops[rows, index], arm_requests[rows, index], -1)


def naive_stops(
    arm_errors: Array, arm: NDArray[np.int64], known: "Array | float"
) -> NDArray[np.bool_]:
    """Whether over 100 requests have twice the error rate known of the version before."""
    rate = arm_errors / np.maximum(arm, 1)
    return (arm > 100) & (arm_errors > 0) & (rate >= 2 * known)


def split_runs(
    runs: int, *, share: float, requests: int, arm_rate: float, whole_guard: bool
) -> Runs:
    """Simulate experiments of *requests* in all, *share* of them for the new version."""
    rng = np.random.default_rng(SEED)
    stopped, naive = [], []
    for start in range(0, runs, CHUNK):
        shape = (min(CHUNK, runs - start), requests)
        is_arm = rng.random(shape) < share
        arm = np.cumsum(is_arm, axis=1)
        failed = rng.random(shape) < np.where(is_arm, arm_rate, BASE_RATE)
        arm_errors = np.cumsum(failed & is_arm, axis=1).astype(float)
        control_errors = np.cumsum(failed & ~is_arm, axis=1).astype(float)
        log_e = log_e_events(arm_errors, control_errors, share, GUARD.max_error_ratio)
        check_events(arm_errors, control_errors, share, log_e)
        stops = log_e >= math.log(1 / ALPHA_ERRORS)
        if whole_guard:
            for rate in (BLOCK_RATE, LOW_RATING_RATE):
                bad = rng.random(shape) < rate
                log_e = log_e_events(
                    np.cumsum(bad & is_arm, axis=1).astype(float),
                    np.cumsum(bad & ~is_arm, axis=1).astype(float),
                    share,
                    GUARD.max_error_ratio,
                )
                stops |= log_e >= math.log(1 / ALPHA_OTHERS)
            costs = rng.lognormal(0.0, COST_SPREAD, shape)
            # The worst case that is no breach: the arm costs exactly what is allowed.
            costs *= np.where(is_arm, GUARD.max_cost_ratio, 1.0)
            log_e = log_e_means(costs, is_arm, GUARD.max_cost_ratio, GUARD.min_request_count)
            check_means(costs, is_arm, log_e)
            stops |= log_e >= math.log(1 / ALPHA_OTHERS)
        control = np.arange(1, requests + 1) - arm
        known = control_errors / np.maximum(control, 1)
        stopped.append(first_stop(stops, arm))
        naive.append(first_stop(naive_stops(arm_errors, arm, known), arm))
    return Runs(stopped=np.concatenate(stopped), naive=np.concatenate(naive))


def label_runs(runs: int, *, history: int, requests: int, arm_rate: float) -> Runs:
    """Simulate moves of a label after *history* requests with the version before."""
    rng = np.random.default_rng(SEED)
    alpha = ALPHA_ERRORS / 2
    stopped, naive = [], []
    for _ in range(runs):
        before = int(rng.binomial(history, BASE_RATE))
        rate = upper_rate(before, history, alpha=alpha)
        errors = np.cumsum(rng.random((1, requests)) < arm_rate, axis=1).astype(float)
        seen = np.arange(1, requests + 1)[None, :]
        log_e = log_e_rate(errors, seen.astype(float), rate, GUARD.max_error_ratio)
        stopped.append(first_stop(log_e >= math.log(1 / alpha), seen))
        naive.append(first_stop(naive_stops(errors, seen, before / history), seen))
    return Runs(stopped=np.concatenate(stopped), naive=np.concatenate(naive))


def check_events(arm: Array, control: Array, share: float, log_e: Array) -> None:
    """Fail unless the arrays agree with the service's own function."""
    split = EventSplit(
        arm_share=share, arm_count=int(arm[0, -1]), control_count=int(control[0, -1])
    )
    assert math.isclose(
        log_e_of_events([split], ratio=GUARD.max_error_ratio), log_e[0, -1], abs_tol=1e-9
    )


def check_means(costs: Array, is_arm: NDArray[np.bool_], log_e: Array) -> None:
    """Fail unless the arrays agree with the service's own function where it could stop."""
    row, chosen = costs[0], is_arm[0]
    split = MeanSplit(
        arm_count=int(chosen.sum()),
        arm_sum=float(row[chosen].sum()),
        arm_squares=float((row[chosen] ** 2).sum()),
        control_count=int((~chosen).sum()),
        control_sum=float(row[~chosen].sum()),
        control_squares=float((row[~chosen] ** 2).sum()),
    )
    own = log_e_of_means([split], ratio=GUARD.max_cost_ratio, min_count=GUARD.min_request_count)
    assert own <= log_e[0, -1] + 1e-9 or own < 1


def check_guard() -> None:
    """Fail unless the guard as a whole stops where the functions of this file do."""
    experiment = Experiment(
        experiment_id="x",
        template="t",
        arms=(Arm(name="control", version=1, weight=0.9), Arm(name="b", version=2, weight=0.1)),
        state=ExperimentState.RUNNING,
        guard=GUARD,
    )
    for arm_errors in range(60):
        control = Tally(request_count=9_000, error_counts={"e": 180})
        arm = Tally(request_count=1_000, error_counts={"e": arm_errors})
        tallies = {
            TallyKey(template="t", version=v, experiment_id="x", arm=name, epoch=1): tally
            for v, name, tally in ((1, "control", control), (2, "b", arm))
        }
        log_e = log_e_events(
            np.array([float(arm_errors)]), np.array([180.0]), 0.1, GUARD.max_error_ratio
        )
        expected = bool(log_e[0] >= math.log(1 / ALPHA_ERRORS))
        assert (judge_experiment(experiment, tallies) is not None) == expected
        rate = upper_rate(180, 9_000, alpha=ALPHA_ERRORS / 2)
        alone = log_e_of_rate(arm_errors, 1_000, rate=rate, ratio=GUARD.max_error_ratio)
        assert (judge_label(control, arm, GUARD) is not None) == (
            alone >= math.log(2 / ALPHA_ERRORS)
        )


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    check_guard()
    table = Table(title=f"{runs:,} runs a row, a look after every request, base rate 2 %")
    for column in ("case", "requests of the new version", "rolled back", "median at"):
        table.add_column(column, justify="left" if column == "case" else "right")
    table.add_column("by 2x over 100 alone", justify="right")

    def row(case: str, requests: str, result: Runs) -> None:
        stops = result.stopped[result.stopped >= 0]
        median = f"{np.median(stops):,.0f}" if len(stops) else ""
        naive = f"{result.share(result.naive):.1%}"
        table.add_row(case, requests, f"{result.share(result.stopped):.1%}", median, naive)

    for share, requests in ((0.1, 15_000), (0.5, 10_000)):
        result = split_runs(
            runs, share=share, requests=requests, arm_rate=BASE_RATE, whole_guard=True
        )
        row(f"no change, all measures, {share:.0%} of traffic", f"{requests * share:,.0f}", result)
    result = label_runs(runs, history=10_000, requests=10_000, arm_rate=BASE_RATE)
    row("no change, label moved, 10,000 before", "10,000", result)
    for share in (0.1, 0.25, 0.5):
        result = split_runs(
            runs,
            share=share,
            requests=round(1_500 / share),
            arm_rate=2 * BASE_RATE,
            whole_guard=False,
        )
        row(f"errors 2 % to 4 %, {share:.0%} of traffic", "1,500", result)
    for history in (10_000, 2_000):
        result = label_runs(runs, history=history, requests=1_500, arm_rate=2 * BASE_RATE)
        row(f"errors 2 % to 4 %, label moved, {history:,} before", "1,500", result)
    for rate in (0.1, 0.5, 1.0):
        result = split_runs(
            min(runs, 2_000), share=0.1, requests=15_000, arm_rate=rate, whole_guard=False
        )
        row(f"errors 2 % to {rate:.0%}, 10% of traffic", "1,500", result)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
