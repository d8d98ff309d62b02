"""Claims that the model is in a mode in which its rules do not hold."""

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity


def _not_a_question(candidate: str) -> Span | None:
    # "How do I enable developer mode?" is about a phone.
    return None if candidate.lower().startswith("how") else (0, len(candidate))


_ENTER = r"(?:enter|enable|activate|switch\s+(?:in)?to|turn\s+on|go\s+into|start|boot\s+into)"

RULE = PatternRule(
    info=RuleInfo(
        rule_id="injection.special_mode",
        stages=frozenset({FindingStage.INPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.HIGH,
        category="prompt_injection",
        description="Claims a developer, jailbreak or similar mode in which no rule holds.",
        source="Liu et al. 2023, https://arxiv.org/abs/2305.13860, privilege escalation",
        baseline=True,
    ),
    patterns=(
        r"\b(?:developer|dev|debug|god|sudo|admin|dan|jailbreak|jailbroken|maintenance)\s+mode"
        r"\s*(?:is\s+)?(?:now\s+)?(?:enabled|activated|engaged|output)\b",
        r"\b(?:you\s+are|you're|chatgpt|assistant)\s+(?:is\s+)?(?:now\s+)?"
        r"(?:running\s+|operating\s+)?(?:in|with)\s+"
        r"(?:developer|dev|debug|god|sudo|dan|jailbreak|unrestricted)\s+mode\b",
        rf"(?:how\s+(?:do|can|could|should|to)\s+(?:i\s+|we\s+|you\s+)?)?\b{_ENTER}\s+(?:the\s+)?"
        r"(?:(?:god|dan|jailbreak|jailbroken|unrestricted|unfiltered|uncensored|no[\s-]rules)"
        r"\s+mode\b|(?:developer|dev|debug)\s+mode\s*(?:[.!:;,]|and\b|now\b))",
        r"\b(?:dan|jailbreak|sudo)\s+mode\s*:\s*(?:on|enabled|true)\b",
    ),
    ignore_lookalikes=True,
    sees_through=True,
    accept=_not_a_question,
)
