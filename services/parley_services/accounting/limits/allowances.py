"""What a subject may use: budgets and limits."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from parley_services.accounting.subjects import (
    EVERYONE,
    MAX_ID_CHARACTERS,
    SubjectKey,
    SubjectLevel,
)
from parley_services.kit.errors import FieldViolation, InvalidArgument

MAX_NANO_USD = 10**18
"""A billion dollars: sums of a few such still fit 64 bits."""

MAX_PER_MINUTE = 10**9
MAX_CONCURRENT_TURNS = 10**6


class BudgetPeriod(StrEnum):
    """The span that a budget holds for, in UTC."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"

    def number(self, now: datetime) -> int:
        """Return the span's number: days since year 1, months since year 0, or 0."""
        match self:
            case BudgetPeriod.DAY:
                return now.toordinal()
            case BudgetPeriod.MONTH:
                return now.year * 12 + now.month - 1
            case BudgetPeriod.TOTAL:
                return 0

    def reset_time(self, now: datetime) -> datetime | None:
        """Return when the span of *now* ends, None if it never does."""
        match self:
            case BudgetPeriod.DAY:
                return datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
            case BudgetPeriod.MONTH:
                year, month = divmod(self.number(now) + 1, 12)
                return datetime(year, month + 1, 1, tzinfo=UTC)
            case BudgetPeriod.TOTAL:
                return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on spending."""

    period: BudgetPeriod
    limit_nano_usd: int
    """Billionths of a US dollar, 0 or more."""
    is_hard: bool
    """Whether it refuses, or only alerts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The budgets and limits of one subject. 0 stands for no limit of its own."""

    budgets: tuple[Budget, ...] = ()
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    max_concurrent_turns: int = 0


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The limits of a subject that were set for it, or for all of its level."""

    key: SubjectKey
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """Raise InvalidArgument if the subject or a figure is out of range."""
        violations = [*_subject_violations(self.key)]
        seen: set[BudgetPeriod] = set()
        for index, budget in enumerate(self.limits.budgets):
            if budget.period in seen:
                violations.append(_violation(f"budgets[{index}].period", "must be given once"))
            seen.add(budget.period)
            if not 0 <= budget.limit_nano_usd <= MAX_NANO_USD:
                violations.append(
                    _violation(f"budgets[{index}].limit_nano_usd", f"must be 0 to {MAX_NANO_USD}")
                )
        for name, value, limit in (
            ("requests_per_minute", self.limits.requests_per_minute, MAX_PER_MINUTE),
            ("tokens_per_minute", self.limits.tokens_per_minute, MAX_PER_MINUTE),
            ("max_concurrent_turns", self.limits.max_concurrent_turns, MAX_CONCURRENT_TURNS),
        ):
            if not 0 <= value <= limit:
                violations.append(_violation(name, f"must be 0 to {limit}"))
        if violations:
            raise InvalidArgument.of(*violations)


def _subject_violations(key: SubjectKey) -> list[FieldViolation]:
    violations = []
    if key.level is SubjectLevel.SUITE:
        if key.tenant_id or key.subject_id:
            violations.append(_violation("subject_id", "must be empty for the suite"))
        return violations
    if not key.subject_id:
        violations.append(_violation("subject_id", f"must be an id, or {EVERYONE} for the default"))
    if not key.tenant_id and key.subject_id != EVERYONE:
        violations.append(_violation("tenant_id", "must be given for a single subject"))
    if key.level is SubjectLevel.TENANT and key.tenant_id not in ("", key.subject_id):
        violations.append(_violation("tenant_id", "must be the subject's id, or empty"))
    for name, value in (("tenant_id", key.tenant_id), ("subject_id", key.subject_id)):
        if len(value) > MAX_ID_CHARACTERS or not value.isprintable():
            violations.append(
                _violation(name, f"must be printable and at most {MAX_ID_CHARACTERS} characters")
            )
    return violations


def _violation(name: str, description: str) -> FieldViolation:
    return FieldViolation(field=f"allowance.{name}", description=description)
