"""What an operator should know about spending."""

from dataclasses import dataclass
from enum import StrEnum

from parley_services.accounting.subjects import SubjectKey


class AlertKind(StrEnum):
    """What an alert is about."""

    BUDGET_WARNING = "budget_warning"
    BUDGET_EXHAUSTED = "budget_exhausted"
    POLICY_ACTION = "policy_action"
    LEDGER_FAULT = "ledger_fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. `alert_number` is given by the store, from 1 without gaps."""

    kind: AlertKind
    key: SubjectKey
    message: str
    """What it is about, in one sentence."""
    used_nano_usd: int
    limit_nano_usd: int
    create_time_us: int
    """Microseconds since 1970."""
    alert_number: int = 0
