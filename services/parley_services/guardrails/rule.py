"""What a rule is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from parley_services.guardrails.names.entity import EntityFinder, EntityKind
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

EVIDENCE_BYTES: Final = 64
"""How much of the text before a candidate is looked at for evidence."""

AFTER_BYTES: Final = 24
"""How much after it, where the text is there as a whole."""

STAGES: Final = (FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT)
"""Where rules may look."""

Span: TypeAlias = tuple[int, int]
Accept: TypeAlias = Callable[[str], Span | None]


def accept_all(candidate: str) -> Span | None:
    """Accept all of *candidate*."""
    return 0, len(candidate)


def only_letters_and_digits(value: str) -> str:
    """Return *value* without separators and case: the same number is the same value."""
    return "".join(each for each in value.casefold() if each.isalnum())


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """What is said about a rule, whatever it does."""

    rule_id: str
    """As `pii.us_ssn`: the category's short name, a dot, what is found."""

    stages: frozenset[FindingStage]
    action: GuardrailAction
    """What a policy does with its findings if it says nothing else."""

    severity: Severity
    category: str
    description: str
    """What it looks for, in one sentence."""

    source: str
    """The publication, standard or measurement that the rule comes from."""

    baseline: bool = False
    """Whether no request and no policy can switch it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a pattern found, with what stands beside it, folded."""

    value: str
    before: str
    """The end of the text before it, of at most EVIDENCE_BYTES."""

    after: str = ""
    """The beginning of the text after it, of at most AFTER_BYTES; empty in a stream, which may
    not have it yet."""


Evidence: TypeAlias = Callable[[Candidate], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternRule:
    """A rule that looks for patterns."""

    info: RuleInfo
    patterns: tuple[str, ...]
    """In the notation of `patterns.parse`. A `(...)` marks what is found; the rest of the
    pattern is the context in which it counts. For the output stage of bounded length."""

    ignore_case: bool = True
    ignore_lookalikes: bool = False
    """Whether accents and letters of other scripts count as the Latin letter they resemble."""

    sees_through: bool = False
    """Whether it also looks at ROT13, reversed, escaped, base64 and hexadecimal text."""

    accept: Accept = field(default=accept_all)
    """Narrows what a pattern found to the part that counts, or refuses it with None, by
    checks that a pattern cannot make. Called with the `(...)`, or with all without one."""

    evidence: Mapping[FindingStage, Evidence] = field(default_factory=dict)
    """What it takes, by stage, to believe that a candidate is what it looks like; where none is
    given, its form is enough. Answers take more than inputs: what is made up or explained is
    nobody's, and what a user sent was replaced before the model saw it."""

    label: str = ""
    """What a placeholder calls a value of it, as `SSN`; for rules that redact."""

    same_value: Callable[[str], str] = field(default=only_letters_and_digits)
    """Maps the spellings of one value to one text."""


FLAG_FROM: Final = 0.5
"""More likely than not. Reported, nothing else."""

BLOCK_FROM: Final = 0.9
"""Where 1 in 1,000 ordinary prompts are, and 1 in 100 of those that give a model a role and
rules: see docs/quality/guardrails.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierRule:
    """A rule that judges a text as a whole, by a calibrated probability."""

    info: RuleInfo
    model: str
    """Name of the classifier in the package's `models`."""

    reads_parts: bool = False
    """Whether any forty words of a text count like a text of their own."""

    def action_at(self, score: float, strictest: GuardrailAction) -> GuardrailAction:
        """Return what is done about a text of this *score*, at most *strictest*."""
        if score >= BLOCK_FROM:
            return strictest
        return GuardrailAction.FLAG if score >= FLAG_FROM else GuardrailAction.UNSPECIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityRule:
    """A rule that looks for what is named in a text as a whole, never in a stream."""

    info: RuleInfo
    kind: EntityKind
    finder: EntityFinder
    label: str
    """What a placeholder calls it, as `PERSON`."""

    same_value: Callable[[str], str] = field(default=only_letters_and_digits)
    """Maps the spellings of one name to one text."""


Rule: TypeAlias = PatternRule | ClassifierRule | EntityRule
