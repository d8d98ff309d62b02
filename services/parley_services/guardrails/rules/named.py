"""Rules that look for names, by a finder of entities. They exist only where there is one."""

from parley_services.guardrails.names.entity import EntityFinder, EntityKind
from parley_services.guardrails.rule import EntityRule, RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_INPUT = frozenset({FindingStage.INPUT})
"""Not answers: a name has no greatest length, so a stream could hold nothing less than all."""

_SOURCE = "NIST SP 800-122, section 2.2; https://microsoft.github.io/presidio/supported_entities/"


def entity_rules(finder: EntityFinder) -> tuple[EntityRule, ...]:
    """Return the rules that *finder* makes possible, sorted by id."""
    return (
        EntityRule(
            info=RuleInfo(
                rule_id="pii.address",
                stages=_INPUT,
                action=GuardrailAction.REDACT,
                severity=Severity.LOW,
                category="pii",
                description="A place that a language model of spaCy takes for one.",
                source=_SOURCE,
            ),
            kind=EntityKind.PLACE,
            finder=finder,
            label="ADDRESS",
        ),
        EntityRule(
            info=RuleInfo(
                rule_id="pii.person_name",
                stages=_INPUT,
                action=GuardrailAction.REDACT,
                severity=Severity.MEDIUM,
                category="pii",
                description="A person's name that a language model of spaCy takes for one.",
                source=_SOURCE,
            ),
            kind=EntityKind.PERSON,
            finder=finder,
            label="PERSON",
        ),
    )
