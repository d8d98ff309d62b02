"""
How versions compare, with how sure that is. Imports neither grpc nor protobuf.

Every figure has an interval that holds the true one in 95 of 100 reports. They are for people
who look once; what is looked at after every turn is decided by `guard` instead.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from parley_services.prompt_registry.outcomes.outcome import Evaluation, Tally, tally_of
from parley_services.prompt_registry.outcomes.sketch import LatencySketch

Z: Final = 1.959964
"""The normal quantile of 97.5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with the interval that it lies in."""

    value: float
    low: float
    high: float

    def differs_from(self, other: "Estimate") -> bool:
        """Whether the two intervals have nothing in common."""
        return self.high < other.low or other.high < self.low


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LineKey:
    """What one line of a report is about."""

    version: int
    experiment_id: str = ""
    arm: str = ""
    is_shadow: bool = False

    def __str__(self) -> str:
        arm = f" {self.experiment_id}/{self.arm}" if self.arm else ""
        return f"{self.version}{arm}{' (beside)' if self.is_shadow else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a version does in an arm."""

    key: LineKey
    turn_count: int
    estimates: Mapping[str, Estimate]
    """By the name of the measure; a measure without data is left out."""


MEASURES: Final[Mapping[str, str]] = {
    "error_rate": "share of turns that failed",
    "guardrail_block_rate": "share of turns that a guardrail blocked",
    "format_failure_rate": "share of answers that broke their form",
    "low_rating_rate": "share of ratings of 1 or 2",
    "mean_stars": "mean rating, 1 to 5",
    "latency_p50_seconds": "median time of a turn",
    "latency_p95_seconds": "95th percentile of the time of a turn",
    "first_delta_p50_seconds": "median time to the first text",
    "mean_cost_usd": "mean cost of a turn",
    "mean_output_tokens": "mean output tokens of a turn",
}
"""What is compared, with what it means. Names end in their unit; a rate is a share of 1."""


class EvalReport:
    """Adds turns up by version and arm; memory is bounded by versions, not by turns."""

    def __init__(self) -> None:
        self._tallies: dict[LineKey, Tally] = {}
        self._squares: dict[LineKey, tuple[int, int]] = {}
        """Of stars and of output tokens, summed: what their variances need."""

    def add(self, evaluation: Evaluation) -> None:
        """Count one turn."""
        outcome = evaluation.outcome
        key = LineKey(
            version=outcome.version,
            experiment_id=outcome.experiment_id,
            arm=outcome.arm,
            is_shadow=outcome.is_shadow,
        )
        tally = tally_of(outcome)
        if evaluation.stars:
            tally += Tally(
                rating_count=1,
                star_count=evaluation.stars,
                low_rating_count=int(evaluation.stars <= 2),
            )
        held = self._tallies.get(key)
        self._tallies[key] = tally if held is None else held + tally
        stars, tokens = self._squares.get(key, (0, 0))
        count = outcome.usage.output_token_count
        self._squares[key] = (stars + evaluation.stars**2, tokens + count * count)

    def lines(self) -> list[Line]:
        """Return a line for each version and arm, in their order."""
        return [
            Line(
                key=key,
                turn_count=tally.request_count,
                estimates=dict(_estimates(tally, *self._squares[key])),
            )
            for key, tally in sorted(self._tallies.items(), key=lambda each: each[0])
        ]


def wilson(count: int, total: int) -> Estimate:
    """
    Return the share *count* of *total*, above 0, with its score interval.

    Wilson: "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927:
    it holds for rare events too, where the usual one would be empty.
    """
    share = count / total
    spread = Z * math.sqrt(share * (1 - share) / total + Z * Z / (4 * total * total))
    scale = 1 + Z * Z / total
    middle = share + Z * Z / (2 * total)
    return Estimate(
        value=share,
        low=max(0.0, (middle - spread) / scale),
        high=min(1.0, (middle + spread) / scale),
    )


def mean(total: float, squares: float, count: int) -> Estimate:
    """Return the mean of *count* values of 0 or more, with its normal interval, cut off at 0."""
    value = total / count
    variance = max(0.0, squares / count - value * value) * count / max(1, count - 1)
    spread = Z * math.sqrt(variance / count)
    return Estimate(value=value, low=max(0.0, value - spread), high=value + spread)


def quantile(sketch: LatencySketch, share: float) -> Estimate | None:
    """
    Return a percentile, in seconds, with its interval; None without times.

    The interval is from one order statistic to another, by the normal approximation of their
    ranks (David and Nagaraja: "Order Statistics", 2003, section 7.1); each is within 1 %.
    """
    value = sketch.quantile(share)
    if value is None:
        return None
    spread = Z * math.sqrt(share * (1 - share) / sketch.count)
    low, high = sketch.quantile(max(0.0, share - spread)), sketch.quantile(min(1.0, share + spread))
    return Estimate(
        value=value, low=value if low is None else low, high=value if high is None else high
    )


def _estimates(
    tally: Tally, star_squares: int, token_squares: int
) -> Iterable[tuple[str, Estimate]]:
    turns = tally.request_count
    yield "error_rate", wilson(tally.error_count, turns)
    yield "guardrail_block_rate", wilson(tally.guardrail_block_count, turns)
    yield "format_failure_rate", wilson(tally.format_failure_count, turns)
    if tally.rating_count:
        yield "low_rating_rate", wilson(tally.low_rating_count, tally.rating_count)
        yield "mean_stars", mean(tally.star_count, star_squares, tally.rating_count)
    for name, sketch, share in (
        ("latency_p50_seconds", tally.latency, 0.50),
        ("latency_p95_seconds", tally.latency, 0.95),
        ("first_delta_p50_seconds", tally.first_delta_latency, 0.50),
    ):
        found = quantile(sketch, share)
        if found is not None:
            yield name, found
    # Squares of costs are in square micro-dollars.
    cost = mean(tally.cost_nano_usd / 1e3, tally.cost_squares, turns)
    yield (
        "mean_cost_usd",
        Estimate(value=cost.value / 1e6, low=cost.low / 1e6, high=cost.high / 1e6),
    )
    yield "mean_output_tokens", mean(tally.usage.output_token_count, token_squares, turns)
