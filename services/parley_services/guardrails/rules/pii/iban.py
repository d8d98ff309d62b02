"""International bank account numbers."""

from stdnum import iban
from stdnum.exceptions import ValidationError

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_MIN_LENGTH = 15
_MAX_LENGTH = 34


def _longest_valid(candidate: str) -> Span | None:
    """Return the longest beginning of *candidate* that is an account's number."""
    places = [index for index, each in enumerate(candidate) if each.isalnum()]
    compact = "".join(candidate[place] for place in places).upper()
    for length in range(min(len(compact), _MAX_LENGTH), _MIN_LENGTH - 1, -1):
        if _is_iban(compact[:length]):
            return 0, places[length - 1] + 1
    return None


def _is_iban(number: str) -> bool:
    try:
        iban.validate(number)
    except ValidationError:
        return False
    return True


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.iban",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.HIGH,
        category="pii",
        description="An international bank account number: a country's format and check digits.",
        source="ISO 13616-1 (mod 97 of ISO/IEC 7064); https://www.swift.com/resource/iban-registry-pdf",
        baseline=True,
    ),
    patterns=(r"\b[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]){11,30}\b",),
    accept=_longest_valid,
    label="IBAN",
)
