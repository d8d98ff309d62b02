"""An allowance with what is used of it."""

from dataclasses import dataclass

from parley_services.accounting.limits.allowances import Allowance
from parley_services.accounting.limits.usage_counters import UsageCounter


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedAllowance:
    """An allowance with its subject's counter; None if it used nothing yet, or is a default."""

    allowance: Allowance
    counter: UsageCounter | None = None
