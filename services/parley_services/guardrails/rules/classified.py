"""Rules that judge a text as a whole, by a classifier."""

from parley_services.guardrails.rule import ClassifierRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_ANSWERS_AND_INPUT = frozenset({FindingStage.INPUT, FindingStage.OUTPUT})
_MODERATION = "Markov et al. 2022, https://arxiv.org/abs/2208.03274 (data set and categories)"

INJECTION = ClassifierRule(
    info=RuleInfo(
        rule_id="injection.classifier",
        stages=frozenset({FindingStage.INPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.HIGH,
        category="prompt_injection",
        description="Reads like the jailbreaks and injections that people pass around.",
        source="docs/quality/guardrails.md; Shen et al. 2023, https://arxiv.org/abs/2308.03825",
    ),
    model="injection",
    reads_parts=True,
)

HATE = ClassifierRule(
    info=RuleInfo(
        rule_id="content.hate",
        stages=_ANSWERS_AND_INPUT,
        action=GuardrailAction.FLAG,
        severity=Severity.MEDIUM,
        category="hate",
        description="Expresses or incites hate or harassment.",
        source=_MODERATION,
    ),
    model="hate",
)

VIOLENCE = ClassifierRule(
    info=RuleInfo(
        rule_id="content.violence",
        stages=_ANSWERS_AND_INPUT,
        action=GuardrailAction.FLAG,
        severity=Severity.MEDIUM,
        category="violence",
        description="Promotes, glorifies or depicts violence.",
        source=_MODERATION,
    ),
    model="violence",
)

SELF_HARM = ClassifierRule(
    info=RuleInfo(
        rule_id="content.self_harm",
        stages=_ANSWERS_AND_INPUT,
        action=GuardrailAction.FLAG,
        severity=Severity.HIGH,
        category="self_harm",
        description="Is about harming oneself.",
        source=_MODERATION,
    ),
    model="self_harm",
)

CLASSIFIER_RULES = (HATE, SELF_HARM, VIOLENCE, INJECTION)
