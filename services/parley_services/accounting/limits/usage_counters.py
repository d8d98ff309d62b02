"""What one subject uses now. A cache of the ledger's sums, and of what runs."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from parley_services.accounting.limits.allowances import BudgetPeriod
from parley_services.accounting.limits.rate_limiter import NOTHING, Passed


class AlertMark(IntEnum):
    """The last alert about a budget in its current span."""

    NONE = 0
    WARNED = 1
    EXHAUSTED = 2


@dataclass(slots=True, kw_only=True)
class UsageCounter:
    """
    The running figures of one subject.

    Unlike the values around it, it changes: within one step, under the store's lock.
    """

    key_text: str
    """`SubjectKey.text`."""

    reserved_nano_usd: int = 0
    """Set aside by running turns. It counts against the present span of each budget."""
    day: int = 0
    day_used_nano_usd: int = 0
    day_alert: int = AlertMark.NONE
    day_policy_rules: str = ""
    """The rules of the policy that have acted today, by id, separated by spaces."""
    month: int = 0
    month_used_nano_usd: int = 0
    month_alert: int = AlertMark.NONE
    total_used_nano_usd: int = 0
    total_alert: int = AlertMark.NONE
    tokens: Passed = NOTHING
    """What counts against the tokens per minute."""

    def roll(self, now: datetime) -> None:
        """Begin a new day or month if one has begun. A date in the past changes nothing."""
        day = now.toordinal()  # As `BudgetPeriod.DAY.number`; it runs for each level of a turn.
        if day <= self.day:
            return
        self.day = day
        self.day_used_nano_usd = 0
        self.day_alert = AlertMark.NONE
        self.day_policy_rules = ""
        month = BudgetPeriod.MONTH.number(now)
        if month > self.month:
            self.month = month
            self.month_used_nano_usd = 0
            self.month_alert = AlertMark.NONE

    def used(self, period: BudgetPeriod) -> int:
        """Return what was booked in the present span."""
        match period:
            case BudgetPeriod.DAY:
                return self.day_used_nano_usd
            case BudgetPeriod.MONTH:
                return self.month_used_nano_usd
            case _:
                return self.total_used_nano_usd

    def committed(self, period: BudgetPeriod) -> int:
        """Return what was booked in the present span and what is set aside."""
        return self.used(period) + self.reserved_nano_usd

    def reserve(self, amount_nano_usd: int) -> None:
        """Set an amount aside; a negative one is given back."""
        self.reserved_nano_usd += amount_nano_usd

    def book(self, amount_nano_usd: int) -> None:
        """Add what was spent; negative for a correction."""
        self.day_used_nano_usd += amount_nano_usd
        self.month_used_nano_usd += amount_nano_usd
        self.total_used_nano_usd += amount_nano_usd

    def alert_mark(self, period: BudgetPeriod) -> AlertMark:
        """Return the last alert about a budget of that period."""
        match period:
            case BudgetPeriod.DAY:
                return AlertMark(self.day_alert)
            case BudgetPeriod.MONTH:
                return AlertMark(self.month_alert)
            case _:
                return AlertMark(self.total_alert)

    def mark_alert(self, period: BudgetPeriod, mark: AlertMark) -> None:
        """Note that an alert was given."""
        match period:
            case BudgetPeriod.DAY:
                self.day_alert = mark
            case BudgetPeriod.MONTH:
                self.month_alert = mark
            case _:
                self.total_alert = mark
