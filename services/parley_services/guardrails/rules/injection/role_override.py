"""Orders to play a model that has no rules."""

from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_LIMITS = (
    r"(?:restrictions?|limits|limitations?|rules?|filters?|guidelines?|censorship|constraints?"
    r"|boundaries|ethics|morals|policies|safeguards|ethical\s+\w+|moral\s+\w+|content\s+polic\w+)\b"
)
_WITHOUT = (
    r"(?:has|have|having|with|without|no\s+longer\s+ha(?:s|ve)|free\s+(?:of|from)|freed\s+from"
    r"|not\s+(?:bound|limited|restricted)\s+by|unbound\s+by|released\s+from|bypass|ignores?)"
)
_FREE = (
    r"(?:unrestricted|unfiltered|uncensored|jailbroken|unlimited|unbound|amoral|unethical|rogue"
    r"|immoral|lawless|limitless)"
)
_PERSONA = r"(?:dan|stan|dude|aim|ucar|evilbot|devmode|dev\s*gpt|dangpt|evil[\s-]?gpt|chaosgpt)\b"

RULE = PatternRule(
    info=RuleInfo(
        rule_id="injection.role_override",
        stages=frozenset({FindingStage.INPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.HIGH,
        category="prompt_injection",
        description="Orders the model to play a persona that has no restrictions, as DAN.",
        source="Shen et al. 2023, Do Anything Now, https://arxiv.org/abs/2308.03825",
        baseline=True,
    ),
    patterns=(
        rf"\b(?:you\s+are|you're|you\s+will\s+be|act\s+as|acting\s+as|behave\s+as|become|be)\s+"
        rf"(?:now\s+)?(?:going\s+to\s+(?:act|pretend)\s+(?:as|to\s+be)\s+)?(?:an?\s+)?{_PERSONA}",
        r"\bdo\s+anything\s+now\b",
        rf"\b(?:you\s+are|you're|act\s+as|pretend\s+to\s+be|roleplay\s+as|become)\s+"
        rf"(?:now\s+)?(?:an?\s+|the\s+|completely\s+)?{_FREE}\s+"
        r"(?:and\s+\w+\s+)?(?:\w+\s+)?(?:ai|a\.i\.|bot|chat\s?bot|assistant|model|llm|language|version|persona)\b",
        r"\b(?:pretend|imagine|act|assume|suppose|behave|respond|answer)\s+"
        rf"(?:\w+\s+){{0,6}}(?:you|to)\s+(?:\w+\s+){{0,6}}{_WITHOUT}\s+"
        rf"(?:no\s+|any\s+|all\s+|the\s+|your\s+)?(?:\w+\s+){{0,2}}{_LIMITS}",
        rf"\byou\s+(?:now\s+)?(?:are|have)\s+(?:now\s+)?(?:no|zero|free\s+from|free\s+of)\s+"
        rf"(?:(?:all|any|more)\s+)?(?:\w+\s+){{0,2}}{_LIMITS}",
    ),
    ignore_lookalikes=True,
    sees_through=True,
)
