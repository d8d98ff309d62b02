"""Telephone numbers."""

from functools import cache

import phonenumbers

from parley_services.guardrails.patterns.regex import NOTHING, Regex, compile_regex
from parley_services.guardrails.rule import Candidate, PatternRule, RuleInfo, Span
from parley_services.guardrails.rules.pii.evidence import (
    found,
    is_inside_token,
    words_after,
    words_before,
    words_near,
)
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_REGIONS = (
    "US", "GB", "DE", "FR", "AU", "IN", "CH", "ES", "IT", "BR", "MX",
    "AT", "BE", "NL", "PL", "SE", "PT", "CN", "JP", "KR", "EG", "ZA",
)  # fmt: skip
"""Whose national notation counts; an international number (+...) counts everywhere."""

_DATE_SEPARATORS = str.maketrans("./-", "   ")

_DIGITS = range(7, 16)
"""From a local number to the longest of ITU-T E.164."""

_EXTENSION_MARKS = ("x", "e")

_WORDS = (
    r"tel|tels|telephone|telefon|telefono|teléfono|telefone|téléphone|phone|phones|fax|mobile|mobil"
    r"|móvil|cell|cellphone|cellulare|celular|handy|whatsapp|sms|call|calls|dial|ring|reach"
    r"|answering|rufnummer|durchwahl|portable|landline|appelle|appelez|llama|llámame|chiama|ruf"
    r"|手机|手机号|电话|電話|携帯|전화|휴대폰|телефон|тел|هاتف|الهاتف|जवाल|फ़ोन"
)
_before = words_before(_WORDS)
_after = words_after(r"office|fax|mobile|cell|home|work|phone|tel")

_of_a_firm = words_near(
    r"hotline|helpline|help\s?desk|customer (?:service|care|support)|support line|switchboard"
    r"|toll[ -]?free|emergency|notruf|service-?nummer"
)
_american = compile_regex(
    r"\A(?:\+?1[-. ])?(?:\(\d{3}\) ?|\d{3}-)\d{3}-\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?\z"
)
_american_too = compile_regex(
    r"\A(?:(?:001|\+?1)[-. ])?\(?\d{3}[-.)] ?\d{3}[-.]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,6})?\z"
)
_grouped = compile_regex(r"\A\(?0\d{1,5}\)?(?:[ \-/]{1,3}\d{2,8}){1,5}\z")
_goes_on = compile_regex(r"\d[ \-/.]{1,3}\z")
_with_area_code = compile_regex(r"\A\(\d{2,5}\) ?\d{3,4}(?:[ \-]?\d{2,4}){1,2}\z")


def _like_a_number(candidate: str) -> Span | None:
    if any(looks(candidate) for looks in _OTHER_NOTATIONS):
        return None
    return (0, len(candidate)) if len(_dialled(candidate)) in _DIGITS else None


def _dialled(candidate: str) -> str:
    """Return the digits without an extension."""
    number = candidate.casefold()
    for mark in _EXTENSION_MARKS:
        number = number.partition(mark)[0]
    return "".join(each for each in number if each.isdigit())


def _in_an_input(candidate: Candidate) -> bool:
    """Take a word beside it, a country code, or separators as telephone numbers have them."""
    if is_inside_token(candidate):
        return False
    value = candidate.value
    digits = _dialled(value)
    if value.isdigit():
        has_length = len(digits) in (10, 11)
        return has_length and _is_named(candidate) and _matches(digits, _REGIONS)
    if value.startswith(("+", "(+")):
        return _is_international(digits)
    if _is_named(candidate):
        return True
    if value.startswith("00") and _is_international(digits[2:]):
        return True
    forms = [_american_too, _with_area_code]
    if not found(_goes_on, candidate.before):
        forms.append(_grouped)
    return any(found(form, value) for form in forms) and _matches(digits, _REGIONS)


def _in_an_answer(candidate: Candidate) -> bool:
    """Take no number of a firm, and separators only where they are American."""
    if is_inside_token(candidate) or found(_of_a_firm, candidate.before):
        return False
    value = candidate.value
    digits = _dialled(value)
    if _toll_free().search(digits.encode()):
        return False
    if value.startswith(("+", "(+")):
        return _is_international(digits)
    if found(_american, value) or found(_with_area_code, value):
        return _matches(digits, _REGIONS)
    if value.isdigit() and len(digits) not in (10, 11):
        return False
    return found(_before, candidate.before) and (
        _matches(digits, _REGIONS) or (value.startswith("00") and _is_international(digits[2:]))
    )


def _is_named(candidate: Candidate) -> bool:
    return found(_before, candidate.before) or found(_after, candidate.after)


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


@cache
def _toll_free() -> Regex:
    """Return the numbers that cost the caller nothing: they belong to firms and offices."""
    plans = "|".join(plan for region in _REGIONS if (plan := _plan(region, ("toll_free",))))
    return compile_regex(rf"\A(?:{plans})\z")


_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "uan",
    "personal_number",
)  # fmt: skip


def _plan(region: str, kinds: tuple[str, ...] = _KINDS) -> str:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        return ""
    described = [getattr(metadata, kind) for kind in kinds]
    patterns = [each.national_number_pattern for each in described if each is not None]
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
    """Whether it is written as an address of the Internet Protocol, as 10.218.6.131, or would
    be one if its numbers were smaller, as a version."""
    parts = candidate.split(".")
    return len(parts) == 4 and all(part.isdigit() for part in parts)


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
        description="A telephone number: named as one, with a country code, or written as one.",
        source="ITU-T E.164; the number plans of libphonenumber",
    ),
    # A dot stands alone between digits: "1. " begins an item of a list.
    patterns=(
        r"(?:\+\d|\(\+?\d|\b\d)(?:(?:\.|[ \-/()]{0,3})\d){6,17}(?:\s?(?:x|ext\.?)\s?\d{1,6})?\b",
    ),
    accept=_like_a_number,
    evidence={
        FindingStage.INPUT: _in_an_input,
        FindingStage.CONTEXT: _in_an_input,
        FindingStage.OUTPUT: _in_an_answer,
    },
    label="PHONE",
)
