"""Text that poses as the operator's or the model's own turn."""

from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

RULE = PatternRule(
    info=RuleInfo(
        rule_id="injection.fake_turn",
        stages=frozenset({FindingStage.INPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.HIGH,
        category="prompt_injection",
        description="Imitates the marks with which models tell system, user and assistant apart.",
        source="Chat templates of ChatML, Llama 2 and 3, Mistral, Gemma and Phi; OWASP LLM01:2025",
        baseline=True,
    ),
    patterns=(
        r"<\s*/?\s*(?:system|sys|system[_-]?(?:prompt|message|instructions?))\s*>",
        r"<\|\s*(?:im_start|im_end|im_sep|system|user|assistant|endoftext|eot_id|begin_of_text"
        r"|start_header_id|end_header_id|end|fim_\w+|endofprompt|channel|message)\s*\|>",
        r"\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|\[/?system_prompt\]",
        r"\[\s*system\s*(?:\]|message|override|prompt|note|update)",
        r"\bsystem\s*(?::|-|>)?\s*override\b",
        r"(?:#{2,4}|={3,4}|-{3,4}|\*{2})\s*(?:new\s+)?(?:system|admin|developer)"
        r"(?:\s+(?:prompt|message|instructions?|override|note))?\s*(?::|#|=|\*|\n)",
        r"\bsystem\s*:\s*(?:you|ignore|override|new|from|the\s+assistant|forget)\b",
    ),
    ignore_lookalikes=True,
    sees_through=True,
)
