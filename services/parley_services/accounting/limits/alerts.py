"""What an operator should know about spending."""

from dataclasses import dataclass

from parley_services.accounting.subjects import SubjectKey
from parley_services.kit.chat.wire_enum import WireEnum


class AlertKind(WireEnum):
    """What an alert is about."""

    UNSPECIFIED = 0
    BUDGET_WARNING = 1
    BUDGET_EXHAUSTED = 2
    POLICY_ACTION = 3
    LEDGER_FAULT = 4


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
