"""Dates of birth."""

from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t|tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DATE = (
    rf"(?:\d{{1,4}}[./\-]\d{{1,2}}[./\-]\d{{1,4}}|{_MONTH}\.?\s\d{{1,2}}(?:st|nd|rd|th)?,?\s\d{{4}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}\.?,?\s\d{{4}})"
)

RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.date_of_birth",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.MEDIUM,
        category="pii",
        description="A date that is called a date of birth.",
        source="NIST SP 800-122, section 2.2",
    ),
    patterns=(
        r"\b(?:born|dob|d\.o\.b\.?|date\s{1,3}of\s{1,3}birth|birth\s?date|birthday)"
        rf"(?:\s{{1,3}}(?:is|on|was|in)){{0,2}}[\s:=\-]{{1,4}}({_DATE})\b",
    ),
    label="DATE_OF_BIRTH",
)
