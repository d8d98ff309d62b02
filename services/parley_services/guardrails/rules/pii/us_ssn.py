"""Social security numbers of the United States."""

from parley_services.guardrails.rule import Candidate, PatternRule, RuleInfo, Span
from parley_services.guardrails.rules.pii.evidence import found, is_inside_token, words_near
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_HYPHENS = frozenset("-\u2010\u2011\u2012\u2013\u2014\u2015")
_near = words_near(r"ssn|ss#|social|security|itin|taxpayer|tin")


def _nine_digits(candidate: str) -> Span | None:
    separators = {each for each in candidate if not each.isdigit()}
    return (0, len(candidate)) if len(separators) <= 1 else None


def _in_an_input(candidate: Candidate) -> bool:
    """Take hyphens, whatever the range: tax numbers are written so, too, and people err. With
    other separators, or none, it must be with hyphens or so called."""
    if is_inside_token(candidate):
        return False
    return _has_hyphens(candidate.value) or _is_assignable(candidate.value)


def _in_an_answer(candidate: Candidate) -> bool:
    """Take hyphens or a word near it."""
    if is_inside_token(candidate):
        return False
    if _has_hyphens(candidate.value):
        return True
    return found(_near, candidate.before) and _is_assignable(candidate.value)


def _has_hyphens(value: str) -> bool:
    return not _HYPHENS.isdisjoint(value)


def _is_assignable(value: str) -> bool:
    digits = "".join(each for each in value if each.isdigit())
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return not (area in ("000", "666") or area >= "900" or group == "00" or serial == "0000")


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.us_ssn",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.HIGH,
        category="pii",
        description="A social security number of the United States, with hyphens or so called.",
        source="https://www.ssa.gov/employer/randomization.html (area, group and serial numbers)",
        baseline=True,
    ),
    patterns=(
        r"\b\d{3}[ .\-\u2010-\u2015]\d{2}[ .\-\u2010-\u2015]\d{4}\b",
        # Without separators it is nine digits like any others, unless it is called one.
        r"\b(?:ssn|itin|ss#|social(?:\s{1,3}security)?(?:\s{1,3}(?:number|num|no|#)\.?)?)[\s:#=is]{1,12}(\d{9})\b",
    ),
    accept=_nine_digits,
    evidence={
        FindingStage.INPUT: _in_an_input,
        FindingStage.CONTEXT: _in_an_input,
        FindingStage.OUTPUT: _in_an_answer,
    },
    label="SSN",
)
