"""The word itself, where it is about the model."""

from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_MODEL = (
    r"(?:chatgpt|gpt|gpt-\d\w{0,4}|claude|gemini|bard|llama|llm|ai|a\.i\.|model|assistant|chatbot|bot"
    r"|yourself|you|your)\b"
)

RULE = PatternRule(
    info=RuleInfo(
        rule_id="injection.jailbreak",
        stages=frozenset({FindingStage.INPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.HIGH,
        category="prompt_injection",
        description="Announces a jailbreak of the model. A jailbreak of a telephone is none.",
        source="Shen et al. 2023, https://arxiv.org/abs/2308.03825",
        baseline=True,
    ),
    patterns=(
        rf"\bjailbreak(?:s|ing|en)?\s+(?:the\s+|this\s+|an?\s+|our\s+)?(?:\w+\s+)?{_MODEL}",
        r"\b(?:you\s+are|you're|be|now|been)\s+(?:now\s+)?(?:fully\s+)?jailbroken\b",
        r"\bjail(?:break|broken)\s+(?:prompt|mode|protocol|activated|enabled|successful)\b",
        r"\b(?:this\s+is|use|using|run|execute|activate|start)\s+(?:an?\s+|the\s+|your\s+)?jailbreak\b",
    ),
    ignore_lookalikes=True,
    sees_through=True,
)
