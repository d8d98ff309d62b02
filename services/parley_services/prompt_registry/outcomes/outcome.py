"""How turns ended, one by one and counted. Imports neither grpc nor protobuf."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.usage import Usage
from parley_services.prompt_registry.experiments.shadow import (
    ShadowComparison,
    ShadowTally,
    shadow_tally,
)
from parley_services.prompt_registry.outcomes.sketch import LatencySketch


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a turn ended."""

    request_id: str
    tenant_id: str = ""
    user_id: str = ""
    template: str
    version: int
    experiment_id: str = ""
    arm: str = ""
    is_shadow: bool = False
    model: str = ""
    finish_reason: FinishReason = FinishReason.UNSPECIFIED
    error_reason: str = ""
    """The name of the `ErrorReason`, if the turn failed."""
    guardrail_blocked: bool = False
    format_failed: bool = False
    source: AnswerSource = AnswerSource.UNSPECIFIED
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int = 0
    latency_seconds: float = 0.0
    first_delta_seconds: float | None = None
    end_time: datetime
    comparison: ShadowComparison | None = None
    """To the answer that the user got, for an arm that ran beside it."""

    @property
    def lane(self) -> str:
        """What tells the outcomes of one turn apart: empty for the answer itself."""
        return f"{self.experiment_id}/{self.arm}" if self.is_shadow else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyKey:
    """What is counted together."""

    template: str
    version: int
    experiment_id: str = ""
    arm: str = ""
    epoch: int = 0
    """Of the experiment, or the generation of label `production`; 0 for other turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of outcomes. Two tallies add up, in any order."""

    request_count: int = 0
    error_counts: Mapping[str, int] = field(default_factory=dict)
    guardrail_block_count: int = 0
    format_failure_count: int = 0
    cache_hit_count: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int = 0
    cost_squares: float = 0.0
    """Sum of the squares of the costs, in square micro-dollars: what a variance needs."""
    rating_count: int = 0
    star_count: int = 0
    """Sum of the ratings."""
    low_rating_count: int = 0
    """Ratings of 1 or 2."""
    latency: LatencySketch = field(default_factory=LatencySketch)
    first_delta_latency: LatencySketch = field(default_factory=LatencySketch)
    shadow: ShadowTally = field(default_factory=ShadowTally)
    """How it compares to what users got, for an arm that ran beside."""

    @property
    def error_count(self) -> int:
        """Turns that failed."""
        return sum(self.error_counts.values())

    @property
    def error_rate(self) -> float:
        """Failed turns in all turns; 0 without turns."""
        return self.error_count / self.request_count if self.request_count else 0.0

    @property
    def mean_stars(self) -> float:
        """The mean rating; 0 without one."""
        return self.star_count / self.rating_count if self.rating_count else 0.0

    def __add__(self, other: "Tally") -> "Tally":
        errors = dict(self.error_counts)
        for reason, count in other.error_counts.items():
            errors[reason] = errors.get(reason, 0) + count
        return Tally(
            request_count=self.request_count + other.request_count,
            error_counts=errors,
            guardrail_block_count=self.guardrail_block_count + other.guardrail_block_count,
            format_failure_count=self.format_failure_count + other.format_failure_count,
            cache_hit_count=self.cache_hit_count + other.cache_hit_count,
            usage=_sum(self.usage, other.usage),
            cost_nano_usd=self.cost_nano_usd + other.cost_nano_usd,
            cost_squares=self.cost_squares + other.cost_squares,
            rating_count=self.rating_count + other.rating_count,
            star_count=self.star_count + other.star_count,
            low_rating_count=self.low_rating_count + other.low_rating_count,
            latency=self.latency + other.latency,
            first_delta_latency=self.first_delta_latency + other.first_delta_latency,
            shadow=self.shadow + other.shadow,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What a user thought of a turn."""

    request_id: str
    tenant_id: str
    stars: int
    """1 (bad) to 5 (good)."""
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTexts:
    """What was said in a turn."""

    input_text: str = ""
    output_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One turn in the evaluation log."""

    outcome: Outcome
    stars: int = 0
    """0 without a rating."""
    comment: str = ""
    """The rater's words, redacted; empty unless the tenant wants texts kept."""
    texts: TurnTexts | None = None
    """What was said, redacted; None unless the tenant wants it kept."""


def tally_of(outcome: Outcome) -> Tally:
    """Return the tally of one *outcome*."""
    micro_usd = outcome.cost_nano_usd / 1_000
    first = outcome.first_delta_seconds
    compared = outcome.comparison
    return Tally(
        request_count=1,
        error_counts={outcome.error_reason: 1} if outcome.error_reason else {},
        guardrail_block_count=int(outcome.guardrail_blocked),
        format_failure_count=int(outcome.format_failed),
        cache_hit_count=int(outcome.source.is_cache),
        usage=outcome.usage,
        cost_nano_usd=outcome.cost_nano_usd,
        cost_squares=micro_usd * micro_usd,
        latency=LatencySketch.of(outcome.latency_seconds),
        first_delta_latency=LatencySketch() if first is None else LatencySketch.of(first),
        shadow=(
            ShadowTally()
            if compared is None
            else shadow_tally(
                compared, latency_seconds=outcome.latency_seconds, cost=outcome.cost_nano_usd
            )
        ),
    )


def rating_change(before: int, after: int) -> Tally:
    """Return what a tally gains when a rating goes from *before* (0: none) to *after*."""
    return Tally(
        rating_count=int(before == 0),
        star_count=after - before,
        low_rating_count=int(after <= 2) - int(0 < before <= 2),
    )


def sum_of(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of *tallies*."""
    return sum(tallies, Tally())


def summaries(tallies: Mapping[TallyKey, Tally]) -> list[tuple[TallyKey, Tally]]:
    """Return *tallies* by version and arm, all epochs together, in that order."""
    sums: dict[TallyKey, Tally] = {}
    for key, tally in tallies.items():
        whole = replace(key, epoch=0)
        sums[whole] = sums.get(whole, Tally()) + tally
    return sorted(
        sums.items(), key=lambda each: (each[0].version, each[0].experiment_id, each[0].arm)
    )


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        input_token_count=one.input_token_count + other.input_token_count,
        cached_input_token_count=one.cached_input_token_count + other.cached_input_token_count,
        cache_write_token_count=one.cache_write_token_count + other.cache_write_token_count,
        output_token_count=one.output_token_count + other.output_token_count,
        reasoning_token_count=one.reasoning_token_count + other.reasoning_token_count,
        estimated=one.estimated or other.estimated,
    )
