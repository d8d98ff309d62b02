"""What all steps share: the policy in force, prices, and the levels of a subject."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from parley_services.accounting.clock_reader import to_us
from parley_services.accounting.ledger.pricing import Pricer
from parley_services.accounting.ledger.unit_of_work import Books
from parley_services.accounting.limits.alerts import Alert, AlertKind
from parley_services.accounting.limits.allowances import Budget, Limits
from parley_services.accounting.limits.budget_policy import Policy
from parley_services.accounting.limits.rate_limiter import RateLimiter
from parley_services.accounting.limits.usage_counters import AlertMark, Meter
from parley_services.accounting.subjects import SubjectKey, keys_of
from parley_services.kit.chat.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What decides, apart from the books."""

    policy: Policy
    pricer: Pricer
    limiter: RateLimiter
    lease_grace_seconds: float
    """How long a lease outlives its turn's time limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One subject of a turn with what it uses and what it may use."""

    key: SubjectKey
    meter: Meter
    limits: Limits

    @property
    def name(self) -> str:
        """The subject for messages, as `user/ada`."""
        return self.key.name


def levels_of(books: Books, subject: Subject, now: datetime) -> tuple[Level, ...]:
    """Return the levels of *subject*, the widest first, in the spans of *now*."""
    levels = []
    for key in keys_of(subject):
        meter = books.meter(key)
        meter.roll(now)
        levels.append(Level(key=key, meter=meter, limits=books.limits(key)))
    return tuple(levels)


def free(books: Books, levels: Iterable[Level], amount_nano_usd: int) -> None:
    """End a turn's hold on all levels."""
    for level in levels:
        level.meter.free(amount_nano_usd)
        books.meter_changed(level.meter)


def book(
    books: Books, levels: Iterable[Level], cost_nano_usd: int, terms: Terms, now: datetime
) -> None:
    """Add a cost to *levels* and alert where a budget comes to its end."""
    if not cost_nano_usd:
        return
    for level in levels:
        level.meter.book(cost_nano_usd)
        books.meter_changed(level.meter)
        for budget in level.limits.budgets:
            _alert_if_crossed(books, level, budget, terms.policy.alerts.warning_percent, now)


def alert_exhausted(books: Books, level: Level, budget: Budget, now: datetime) -> None:
    """Alert, once in a span, that a budget has no room left."""
    if level.meter.alert_mark(budget.period) is AlertMark.EXHAUSTED:
        return
    level.meter.mark_alert(budget.period, AlertMark.EXHAUSTED)
    books.meter_changed(level.meter)
    books.alert(_budget_alert(level, budget, AlertKind.BUDGET_EXHAUSTED, "is used up", now))


def _alert_if_crossed(
    books: Books, level: Level, budget: Budget, warning_percent: int, now: datetime
) -> None:
    used = level.meter.used(budget.period)
    if used >= budget.limit_nano_usd:
        alert_exhausted(books, level, budget, now)
    elif (
        used * 100 >= budget.limit_nano_usd * warning_percent
        and level.meter.alert_mark(budget.period) is AlertMark.NONE
    ):
        level.meter.mark_alert(budget.period, AlertMark.WARNED)
        what = f"is {used * 100 // budget.limit_nano_usd} % used"
        books.alert(_budget_alert(level, budget, AlertKind.BUDGET_WARNING, what, now))


def _budget_alert(level: Level, budget: Budget, kind: AlertKind, what: str, now: datetime) -> Alert:
    span = {"day": "daily", "month": "monthly", "total": "total"}[budget.period.value]
    return Alert(
        kind=kind,
        key=level.key,
        message=f"The {span} budget of {level.name} {what}.",
        used_nano_usd=level.meter.used(budget.period),
        limit_nano_usd=budget.limit_nano_usd,
        create_time_us=to_us(now),
    )
