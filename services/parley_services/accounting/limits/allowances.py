"""What a subject may use: budgets and limits."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from parley_services.accounting.subjects import EVERYONE, SubjectKey, SubjectLevel
from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.kit.errors import FieldViolation, InvalidArgument


class BudgetPeriod(WireEnum):
    """The span that a budget holds for, in UTC."""

    UNSPECIFIED = 0
    DAY = 1
    MONTH = 2
    TOTAL = 3

    def number(self, now: datetime) -> int:
        """Return the span's number: days since year 1, months since year 0, or 0."""
        match self:
            case BudgetPeriod.DAY:
                return now.toordinal()
            case BudgetPeriod.MONTH:
                return now.year * 12 + now.month - 1
            case _:
                return 0

    def reset_time(self, now: datetime) -> datetime | None:
        """Return when the span of *now* ends, None if it never does."""
        match self:
            case BudgetPeriod.DAY:
                return datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
            case BudgetPeriod.MONTH:
                year, month = divmod(self.number(now) + 1, 12)
                return datetime(year, month + 1, 1, tzinfo=UTC)
            case _:
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
        """Raise InvalidArgument if the subject cannot be, or a period has two budgets."""
        violations = [*_subject_violations(self.key)]
        seen: set[BudgetPeriod] = set()
        for index, budget in enumerate(self.limits.budgets):
            if budget.period in seen:
                violations.append(_violation(f"budgets[{index}].period", "must be given once"))
            seen.add(budget.period)
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
    return violations


def _violation(name: str, description: str) -> FieldViolation:
    return FieldViolation(field=f"allowance.{name}", description=description)
