"""Orders to drop the instructions that came before."""

from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_DROP = (
    r"(?:ignore|disregard|forget|override|bypass|discard|neglect|drop|omit|skip|dismiss"
    r"|do\s+not\s+(?:follow|obey)|don'?t\s+(?:follow|obey)|stop\s+(?:following|obeying)"
    r"|pay\s+no\s+attention\s+to)"
)
_FILLER = (
    r"(?:(?:all|any|every|each|of|the|your|my|our|these|those|this|that|and|to|please)\s+){0,5}"
)
_EARLIER = (
    r"(?:(?:previous|previously|prior|above|preceding|earlier|initial|original|former|foregoing"
    r"|system|existing|given|current|safety|developer|default|stated|hidden)(?:\s+|,\s*|/)"
    r"(?:(?:and|or|&)\s+)?){1,4}"
)
_ORDERS = (
    r"(?:instructions?|instruction\s+set|prompts?|directions?|directives?|rules?|guidelines?"
    r"|guidance|commands?|orders?|constraints?|programming|restrictions?|conditions?|polic(?:y|ies)"
    r"|system\s+messages?|context\s+and\s+instructions?)\b"
)

RULE = PatternRule(
    info=RuleInfo(
        rule_id="injection.ignore_previous",
        stages=frozenset({FindingStage.INPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.HIGH,
        category="prompt_injection",
        description="Orders the model to ignore the instructions it was given before.",
        source="Perez and Ribeiro 2022, https://arxiv.org/abs/2211.09527; OWASP LLM01:2025",
        baseline=True,
    ),
    patterns=(
        rf"\b{_DROP}\s+{_FILLER}{_EARLIER}{_FILLER}{_ORDERS}",
        rf"\b{_DROP}\s+(?:all\s+)?(?:of\s+)?(?:your|these|those)\s+(?:\w+\s+)?{_ORDERS}",
        r"\b(?:ignore|disregard|forget)\s+(?:all\s+(?:of\s+)?)?"
        r"(?:the\s+)?(?:instructions?|rules?|prompts?|directions?|text|messages?)\s+"
        r"(?:above|before\s+this|you\s+(?:were|have\s+been)\s+given)\b",
        r"\b(?:ignore|disregard|forget)\s+(?:about\s+)?(?:everything|all|anything)\s+"
        r"(?:(?:of\s+)?(?:the\s+)?(?:above|previous|prior|before\s+this)\b"
        r"|(?:that\s+)?(?:you|i|we)(?:'ve|\s+have)?\s+(?:\w+\s+)?"
        r"(?:said|told|been\s+told|were\s+told|know|knew|learned|instructed)\b)",
        r"\b(?:ignore|disregard)\s+(?:the\s+)?above\s+and\b",
    ),
    ignore_lookalikes=True,
    sees_through=True,
)
