"""Telephone numbers."""

import phonenumbers

from services.guardrails.rule import PatternRule, RuleInfo, Span
from services.guardrails.verdict import Action, Severity, Stage

_REGIONS = ("US", "GB", "DE", "FR", "AU", "IN", "CH", "ES", "IT", "BR", "MX")
"""Whose national notation counts; an international number (+...) counts everywhere."""

_DATE_SEPARATORS = str.maketrans("./-", "   ")

_MIN_DIGITS = 7
_MAX_DIGITS = 15
"""https://www.itu.int/rec/T-REC-E.164"""


def _dialable(candidate: str) -> Span | None:
    if any(looks(candidate) for looks in _OTHER_NOTATIONS):
        return None
    digits = sum(each.isdigit() for each in candidate)
    if not _MIN_DIGITS <= digits <= _MAX_DIGITS + 6:
        return None
    if candidate.startswith(("+", "00")):
        number = "+" + candidate.lstrip("+0")
        return (0, len(candidate)) if _is_valid(number, None) else None
    if candidate.isdigit() and len(candidate) not in (10, 11):
        # A plain run of digits is more often an order number than a telephone.
        return None
    if any(_is_valid(candidate, region) for region in _REGIONS):
        return 0, len(candidate)
    return None


def _looks_like_a_date(candidate: str) -> bool:
    """Whether it begins with a date whose year has four digits, as 2024-01-02 or 2.1.2024."""
    parts = candidate.translate(_DATE_SEPARATORS).split()
    if len(parts) < 3 or not all(part.isdigit() for part in parts[:3]):
        return False
    first, second, third = map(len, parts[:3])
    return second <= 2 and sorted((first, third)) in ([1, 4], [2, 4])


def _looks_like_an_address(candidate: str) -> bool:
    """Whether it is written as an address of the Internet Protocol, as 10.218.6.131."""
    parts = candidate.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)


def _looks_like_a_us_ssn(candidate: str) -> bool:
    """Whether it is written as a social security number, also one that is not assignable."""
    parts = candidate.split("-")
    return [len(part) for part in parts if part.isdigit()] == [3, 2, 4]


_OTHER_NOTATIONS = (_looks_like_a_date, _looks_like_an_address, _looks_like_a_us_ssn)


def _is_valid(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.phone",
        stages=frozenset({Stage.INPUT, Stage.OUTPUT, Stage.CONTEXT}),
        action=Action.REDACT,
        severity=Severity.MEDIUM,
        category="pii",
        description="A telephone number that can be dialled, international or of several regions.",
        source="ITU-T E.164; the number plans of libphonenumber",
    ),
    patterns=(r"(?:\+\d|\(\+?\d|\b\d)(?:[ .\-/()]{0,3}\d){6,17}(?:\s?(?:x|ext\.?)\s?\d{1,6})?\b",),
    accept=_dialable,
    label="PHONE",
)
