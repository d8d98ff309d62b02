"""Social security numbers of the United States."""

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity


def _assignable(candidate: str) -> Span | None:
    digits = "".join(each for each in candidate if each.isdigit())
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    separators = {each for each in candidate if not each.isdigit()}
    if len(digits) != 9 or len(separators) > 1:
        return None
    if area in ("000", "666") or area >= "900" or group == "00" or serial == "0000":
        return None
    return 0, len(candidate)


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.us_ssn",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.HIGH,
        category="pii",
        description="A social security number of the United States, of an assignable range.",
        source="https://www.ssa.gov/employer/randomization.html (area, group and serial numbers)",
        baseline=True,
    ),
    patterns=(
        r"\b\d{3}[ .\-\u2010-\u2015]\d{2}[ .\-\u2010-\u2015]\d{4}\b",
        # Without separators it is nine digits like any others, unless it is called one.
        r"\b(?:ssn|ss#|social\s{1,3}security(?:\s{1,3}(?:number|num|no|#)\.?)?)[\s:#=is]{1,12}(\d{9})\b",
    ),
    accept=_assignable,
    label="SSN",
)
