"""The longest answer that a policy allows."""

from parley_services.guardrails.rule import RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

LENGTH = RuleInfo(
    rule_id="limit.answer_length",
    stages=frozenset({FindingStage.OUTPUT}),
    action=GuardrailAction.BLOCK,
    severity=Severity.LOW,
    category="length",
    description="Ends an answer that is longer than the policy's `max_answer_characters`.",
    source="OWASP LLM10:2025, unbounded consumption",
)
