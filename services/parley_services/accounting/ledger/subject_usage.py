"""The levels of a turn's subject, and what is booked and alerted on all of them."""

from dataclasses import dataclass

from parley_services.accounting.clock_reader import to_us
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.unit_of_work import LedgerTransaction
from parley_services.accounting.limits.alerts import Alert, AlertKind
from parley_services.accounting.limits.allowances import Budget, BudgetPeriod, Limits
from parley_services.accounting.limits.usage_counters import AlertMark, UsageCounter
from parley_services.accounting.subjects import SubjectKey, keys_of
from parley_services.kit.chat.subject import Subject

_SPANS = {
    BudgetPeriod.DAY: "daily",
    BudgetPeriod.MONTH: "monthly",
    BudgetPeriod.TOTAL: "total",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectUsage:
    """One subject of a turn with what it uses and what it may use."""

    key: SubjectKey
    counter: UsageCounter
    limits: Limits

    @property
    def name(self) -> str:
        """The subject for messages, as `user/ada`."""
        return self.key.name


Levels = tuple[SubjectUsage, ...]
"""A turn's subject at each of its levels, the widest first."""


def levels_of(transaction: LedgerTransaction, subject: Subject) -> Levels:
    """Return what *subject* uses at each of its levels, in the spans of now."""
    now, levels = transaction.timestamp.utc, []
    for key in keys_of(subject):
        counter = transaction.counter(key)
        counter.roll(now)
        levels.append(SubjectUsage(key=key, counter=counter, limits=transaction.limits(key)))
    return tuple(levels)


def reserve(transaction: LedgerTransaction, levels: Levels, amount_nano_usd: int) -> None:
    """Set an amount aside on all levels; a negative one gives a part of it back."""
    for level in levels:
        level.counter.reserve(amount_nano_usd)
        transaction.counter_changed(level.counter)


def book(
    transaction: LedgerTransaction, levels: Levels, cost_nano_usd: int, context: PricingContext
) -> None:
    """Add a cost to *levels* and alert where a budget comes to its end."""
    if not cost_nano_usd:
        return
    warning_percent = context.policy.alerts.warning_percent
    for level in levels:
        level.counter.book(cost_nano_usd)
        transaction.counter_changed(level.counter)
        for budget in level.limits.budgets:
            _alert_if_crossed(transaction, level, budget, warning_percent)


def alert_exhausted(transaction: LedgerTransaction, level: SubjectUsage, budget: Budget) -> None:
    """Alert, once in a span, that a budget has no room left."""
    if level.counter.alert_mark(budget.period) is AlertMark.EXHAUSTED:
        return
    level.counter.mark_alert(budget.period, AlertMark.EXHAUSTED)
    transaction.counter_changed(level.counter)
    _alert(transaction, level, budget, AlertKind.BUDGET_EXHAUSTED, "is used up")


def _alert_if_crossed(
    transaction: LedgerTransaction, level: SubjectUsage, budget: Budget, warning_percent: int
) -> None:
    used = level.counter.used(budget.period)
    if used >= budget.limit_nano_usd:
        alert_exhausted(transaction, level, budget)
    elif (
        used * 100 >= budget.limit_nano_usd * warning_percent
        and level.counter.alert_mark(budget.period) is AlertMark.NONE
    ):
        level.counter.mark_alert(budget.period, AlertMark.WARNED)
        what = f"is {used * 100 // budget.limit_nano_usd} % used"
        _alert(transaction, level, budget, AlertKind.BUDGET_WARNING, what)


def _alert(
    transaction: LedgerTransaction, level: SubjectUsage, budget: Budget, kind: AlertKind, what: str
) -> None:
    transaction.alert(
        Alert(
            kind=kind,
            key=level.key,
            message=f"The {_SPANS[budget.period]} budget of {level.name} {what}.",
            used_nano_usd=level.counter.used(budget.period),
            limit_nano_usd=budget.limit_nano_usd,
            create_time_us=to_us(transaction.timestamp.utc),
        )
    )
