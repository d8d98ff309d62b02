"""Whether the hard budgets of a subject have room."""

from datetime import datetime

from parley_services.accounting.ledger.subject_usage import Levels, SubjectUsage, alert_exhausted
from parley_services.accounting.ledger.unit_of_work import LedgerTransaction
from parley_services.accounting.limits.allowances import Budget
from parley_services.kit.errors import BudgetExhausted

_BUSY_RETRY_SECONDS = 1.0
"""When to try again if only other running turns are in the way; they end in seconds."""

_ENDLESS = 2**62
"""Room where no hard budget holds."""


def least_room(levels: Levels) -> int:
    """Return what the tightest hard budget has left; negative if it is overdrawn."""
    rooms = [
        _room(level, budget)
        for level in levels
        for budget in level.limits.budgets
        if budget.is_hard
    ]
    return min(rooms, default=_ENDLESS)


def check_room(transaction: LedgerTransaction, levels: Levels, amount_nano_usd: int) -> None:
    """
    Return if all hard budgets of *levels* have room for an amount, or if it is 0.

    Raises BudgetExhausted and alerts if one has not.
    """
    if not amount_nano_usd:
        return
    for level in levels:
        for budget in level.limits.budgets:
            if budget.is_hard and amount_nano_usd > _room(level, budget):
                alert_exhausted(transaction, level, budget)
                raise _exhausted(level, budget, amount_nano_usd, transaction.timestamp.utc)


def reset_metadata(period_end: datetime | None) -> dict[str, str]:
    """Return when a budget begins anew, for the metadata of an error."""
    if period_end is None:
        return {}
    return {"reset_time": period_end.isoformat().replace("+00:00", "Z")}


def _room(level: SubjectUsage, budget: Budget) -> int:
    return budget.limit_nano_usd - level.counter.committed(budget.period)


def _exhausted(
    level: SubjectUsage, budget: Budget, amount_nano_usd: int, now: datetime
) -> BudgetExhausted:
    used = level.counter.used(budget.period)
    metadata = {
        "subject": level.name,
        "limit_nano_usd": str(budget.limit_nano_usd),
        "used_nano_usd": str(used),
    } | reset_metadata(budget.period.reset_time(now))
    only_busy = used + amount_nano_usd <= budget.limit_nano_usd
    until = f"; it begins anew at {metadata['reset_time']}" if "reset_time" in metadata else ""
    return BudgetExhausted(
        f"The {budget.period.key} budget of {level.name} has no room for this turn{until}.",
        metadata=metadata,
        retry_after_seconds=_BUSY_RETRY_SECONDS if only_busy else None,
    )
