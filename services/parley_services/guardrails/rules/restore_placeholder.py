"""Placeholders that the model repeats."""

from parley_services.guardrails.matching.placeholders import PLACEHOLDER_PATTERN
from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

RULE = PatternRule(
    info=RuleInfo(
        rule_id="restore.placeholder",
        stages=frozenset({FindingStage.OUTPUT}),
        action=GuardrailAction.RESTORE,
        severity=Severity.LOW,
        category="restore",
        description="A placeholder of the user's own data, which is turned back for this user.",
        source="docs/guardrails.md, redact and restore",
    ),
    patterns=(PLACEHOLDER_PATTERN,),
    ignore_case=False,
    same_value=str,
)
