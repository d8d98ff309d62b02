"""Telephone numbers."""

from functools import cache

import phonenumbers

from parley_services.guardrails.patterns.regex import NOTHING, Regex, compile_regex
from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_REGIONS = ("US", "GB", "DE", "FR", "AU", "IN", "CH", "ES", "IT", "BR", "MX")
"""Whose national notation counts; an international number (+...) counts everywhere."""

_DATE_SEPARATORS = str.maketrans("./-", "   ")

_MAX_NATIONAL_DIGITS = 12
"""The longest national number of these regions, with the prefix that is dialled before it."""

_EXTENSION_MARKS = ("x", "e")


def _dialable(candidate: str) -> Span | None:
    if any(looks(candidate) for looks in _OTHER_NOTATIONS):
        return None
    number = candidate.lower()
    for mark in _EXTENSION_MARKS:
        number = number.partition(mark)[0]
    digits = "".join(each for each in number if each.isdigit())
    if number.startswith(("+", "(+", "00")):
        valid = _is_international(digits.removeprefix("00"))
    elif number.isdigit() and len(digits) not in (10, 11):
        # A plain run of digits is more often an order number than a telephone.
        valid = False
    else:
        valid = len(digits) <= _MAX_NATIONAL_DIGITS and _matches(digits, _REGIONS)
    return (0, len(candidate)) if valid else None


def _is_international(digits: str) -> bool:
    for length in (1, 2, 3):
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length] or 0), ())
        if regions and _matches(digits[length:], regions):
            return True
    return False


def _matches(digits: str, regions: tuple[str, ...]) -> bool:
    return _plans(regions).search(digits.encode()) is not None


@cache
def _plans(regions: tuple[str, ...]) -> Regex:
    """
    Return the number plans of *regions*, from libphonenumber's data, as one expression.

    Its own parser takes 0.1 ms a number and region, with which a text full of digits
    would keep a core busy for a minute.
    """
    plans = "|".join(plan for region in regions if (plan := _plan(region)))
    return compile_regex(rf"\A(?:{plans or NOTHING})\z")


def _plan(region: str) -> str:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        return ""
    kinds = (
        metadata.fixed_line,
        metadata.mobile,
        metadata.toll_free,
        metadata.premium_rate,
        metadata.shared_cost,
        metadata.voip,
        metadata.uan,
        metadata.personal_number,
    )
    patterns = [kind.national_number_pattern for kind in kinds if kind is not None]
    numbers = "|".join(f"(?:{pattern})" for pattern in patterns if pattern)
    prefix = f"(?:{metadata.national_prefix})?" if metadata.national_prefix else ""
    return f"{prefix}(?:{numbers})" if numbers else ""


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


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.phone",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.MEDIUM,
        category="pii",
        description="A telephone number that can be dialled, international or of several regions.",
        source="ITU-T E.164; the number plans of libphonenumber",
    ),
    # A dot stands alone between digits: "1. " begins an item of a list.
    patterns=(
        r"(?:\+\d|\(\+?\d|\b\d)(?:(?:\.|[ \-/()]{0,3})\d){6,17}(?:\s?(?:x|ext\.?)\s?\d{1,6})?\b",
    ),
    accept=_dialable,
    label="PHONE",
)
