"""SQL that destroys a table or a database."""

from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

RULE = PatternRule(
    info=RuleInfo(
        rule_id="banned_output.destructive_sql",
        stages=frozenset({FindingStage.OUTPUT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.CRITICAL,
        category="banned_output",
        description="SQL that drops, deletes or truncates a table, a database or a schema.",
        source="OWASP LLM05:2025, improper output handling",
        baseline=True,
    ),
    patterns=(
        r"\b(?:drop|delete|truncate)\s{1,32}(?:table|database|schema)\b",
        r"\b(?:drop|delete|truncate)\s{0,4}/\*[^*]{0,32}\*/\s{0,4}(?:table|database|schema)\b",
    ),
    sees_through=True,
)
