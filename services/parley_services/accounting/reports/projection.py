"""Projects a month's cost from how a service is used."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from parley_services.accounting.ledger.pricing import Pricer

DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """How a service is used."""

    user_count: int
    """Users a day."""
    questions_per_user: float
    """A day."""
    input_token_count: int
    """Of a question."""
    output_token_count: int
    """Of an answer."""
    cache_hit_rate: float
    """Share of questions that the cache answers for nothing, 0 to 1."""
    model: str = ""
    day_count: int = DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A month."""

    question_count: int
    cost_nano_usd: int
    uncached_cost_nano_usd: int
    """Without the cache."""


def project(usage: Workload, pricer: Pricer, at: datetime) -> Projection:
    """
    Return what a month of *usage* costs, with a cache that answers its share for nothing.

    Ten thousand users with five questions of 1,500 and 400 tokens on gpt-4o, at 2.50 and
    10.00 dollars a million tokens, ask 1,500,000 times in 30 days; with 35 % hits that is
    7,556.25 dollars. Raises PriceUnknown.
    """
    each = pricer.quote(usage.model, at).expected_nano_usd(
        usage.input_token_count, usage.output_token_count
    )
    questions = Decimal(usage.user_count) * Decimal(str(usage.questions_per_user)) * usage.day_count
    misses = 1 - Decimal(str(usage.cache_hit_rate))
    return Projection(
        question_count=_rounded(questions),
        cost_nano_usd=_rounded(questions * misses * each),
        uncached_cost_nano_usd=_rounded(questions * each),
    )


def _rounded(value: Decimal) -> int:
    return int(value.to_integral_value(rounding=ROUND_HALF_UP))
