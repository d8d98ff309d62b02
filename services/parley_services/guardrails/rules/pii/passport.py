"""Passports: the lines that machines read, and numbers that are called a passport's."""

from typing import Final

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_MACHINE_READ_LENGTH: Final = 44
_WEIGHTS: Final = (7, 3, 1)

_CHECKED: Final = ((0, 9), (13, 19), (21, 27))
"""Number, date of birth and date of expiry; the check digit of each follows it."""


def _is_passport(candidate: str) -> Span | None:
    if len(candidate) != _MACHINE_READ_LENGTH or "<" not in candidate:
        return 0, len(candidate)
    checked = all(candidate[end] == _check_digit(candidate[start:end]) for start, end in _CHECKED)
    return (0, len(candidate)) if checked else None


def _check_digit(field: str) -> str:
    # 0 to 9 count as they are, A to Z as 10 to 35, the filler as nothing.
    values = (0 if symbol == "<" else int(symbol, 36) for symbol in field)
    return str(sum(value * _WEIGHTS[place % 3] for place, value in enumerate(values)) % 10)


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.passport",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.HIGH,
        category="pii",
        description="A passport: its machine-read line with check digits, or a number so called.",
        source="ICAO Doc 9303 part 4 (line 2), part 3 section 4.9 (check digits)",
    ),
    patterns=(
        r"\b[A-Z0-9]{1,9}<{0,8}\d[A-Z<]{3}\d{7}[MFX<]\d{7}[A-Z0-9<]{14}[\d<]\d",
        r"\b[Pp]assport(?:\s(?:[Nn]umber|[Nn]o\.?|[Nn]um|ID|#))?(?:\sis)?[\s:=#]{1,3}"
        r"([A-Z]{1,2}\d{6,8}|\d{9}|[A-Z]\d{2}[A-Z0-9]{5,6})\b",
    ),
    ignore_case=False,
    accept=_is_passport,
    label="PASSPORT",
)
