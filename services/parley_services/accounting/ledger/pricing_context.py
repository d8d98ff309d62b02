"""What all commands share beside the rows of the ledger."""

from dataclasses import dataclass

from parley_services.accounting.ledger.pricing import Pricer
from parley_services.accounting.limits.budget_policy import Policy
from parley_services.accounting.limits.rate_limiter import RateLimiter


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingContext:
    """What decides beside the rows of the ledger: the policy, prices and rates."""

    policy: Policy
    pricer: Pricer
    limiter: RateLimiter
    lease_grace_seconds: float
    """How long a lease outlives its turn's time limit."""
