"""Orders to give the hidden instructions away."""

from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_SAY = (
    r"(?:reveal|show|print|repeat|output|display|tell|give|write|recite|return|leak|expose|dump"
    r"|disclose|share|provide|copy|paste|list|what\s+(?:is|are|was|were))"
)
_WHOSE = (
    r"(?:me\s+|us\s+|out\s+|back\s+)?(?:(?:all|every|exactly|verbatim|the\s+(?:full|exact|entire)"
    r"(?:\s+text)?)\s+)?(?:of\s+)?(?:your|the)\s+"
)
_HIDDEN = (
    r"(?:(?:exact|full|entire|complete|initial|original|hidden|secret|internal|real|own|current"
    r"|confidential)\s+)"
)

RULE = PatternRule(
    info=RuleInfo(
        rule_id="injection.prompt_extraction",
        stages=frozenset({FindingStage.INPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.MEDIUM,
        category="prompt_injection",
        description="Orders the model to give its system prompt away.",
        source="Zhang et al. 2023, https://arxiv.org/abs/2307.06865; OWASP LLM07:2025",
    ),
    patterns=(
        rf"\b{_SAY}\s+{_WHOSE}{_HIDDEN}{{0,3}}system\s+(?:prompt|message|instructions?)\b",
        rf"\b{_SAY}\s+(?:me\s+|us\s+|out\s+|back\s+)?(?:all\s+)?(?:of\s+)?your\s+{_HIDDEN}{{1,3}}"
        r"(?:prompts?|instructions?|rules|guidelines|directives|configuration)\b",
        r"\b(?:repeat|print|output|copy|recite|write)\s+(?:out\s+|back\s+)?"
        r"(?:everything|all(?:\s+(?:of\s+)?the\s+(?:text|words))?|the\s+(?:text|words|lines|prompt)"
        r"|verbatim\s+(?:everything|all))\s+(?:that\s+(?:is|was)\s+)?(?:above|before\s+this|verbatim)\b",
    ),
    ignore_lookalikes=True,
    sees_through=True,
)
