"""What guardrails find and do: `parley.chat.v1.finding`."""

from dataclasses import dataclass

from parley_services.kit.chat.wire_enum import WireEnum


class FindingStage(WireEnum):
    """Where a guardrail looked."""

    UNSPECIFIED = 0
    INPUT = 1
    OUTPUT = 2
    CONTEXT = 3


class GuardrailAction(WireEnum):
    """What a guardrail does about a finding; UNSPECIFIED is nothing, for a rule that is off."""

    UNSPECIFIED = 0
    FLAG = 1
    REDACT = 2
    BLOCK = 3
    RESTORE = 4


class Severity(WireEnum):
    """How bad a finding is."""

    UNSPECIFIED = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a guardrail rule found. Spans count Unicode code points."""

    rule_id: str
    stage: FindingStage
    action: GuardrailAction
    severity: Severity
    category: str
    start: int
    """First character of the span in the original text."""
    end: int
    """One past its last character."""
    score: float = 1.0
    """The rule's calibrated probability, 0 to 1; 1 for patterns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """A placeholder and what it stands for. Never logged, never cached."""

    placeholder: str
    original: str
