"""The longest answer that a policy allows."""

from parley_services.guardrails.rule import RuleInfo
from parley_services.guardrails.verdict import Action, Severity, Stage

LENGTH = RuleInfo(
    rule_id="limit.answer_length",
    stages=frozenset({Stage.OUTPUT}),
    action=Action.BLOCK,
    severity=Severity.LOW,
    category="length",
    description="Ends an answer that is longer than the policy's `max_answer_characters`.",
    source="OWASP LLM10:2025, unbounded consumption",
)
