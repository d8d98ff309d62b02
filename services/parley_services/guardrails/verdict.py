"""What guardrails say: findings, placeholders, verdicts."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Stage(IntEnum):
    """Where a rule looks; numbered as `parley.chat.v1.Stage`."""

    INPUT = 1
    OUTPUT = 2
    CONTEXT = 3


class Action(IntEnum):
    """What is done about a finding; numbered as `parley.chat.v1.Action`, 0 being nothing."""

    OFF = 0
    FLAG = 1
    REDACT = 2
    BLOCK = 3
    RESTORE = 4


class Severity(IntEnum):
    """How bad a finding is; numbered as `parley.chat.v1.Severity`."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Verdict(IntEnum):
    """What a check decided, mildest first; numbered as `parley.guardrails.v1.Verdict`."""

    ALLOW = 1
    FLAG = 2
    REDACT = 3
    BLOCK = 4


class InputSource(IntEnum):
    """Where an input text comes from; numbered as `parley.guardrails.v1.InputSource`."""

    UNSPECIFIED = 0
    USER = 1
    HISTORY_USER = 2
    HISTORY_ASSISTANT = 3
    VARIABLE = 4
    DOCUMENT = 5
    TOOL = 6

    @property
    def stage(self) -> Stage:
        """The stage whose rules judge such a text."""
        if self in (InputSource.DOCUMENT, InputSource.TOOL):
            return Stage.CONTEXT
        return Stage.INPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a rule found."""

    rule_id: str
    stage: Stage
    action: Action
    severity: Severity
    category: str
    start: int
    """First character of the span in the original text, in code points."""

    end: int
    """One past its last character."""

    score: float = 1.0
    """The rule's calibrated probability, 0 to 1; 1 for patterns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """A placeholder and what it stands for. Never logged, never cached."""

    placeholder: str
    original: str


_VERDICTS = {
    Action.OFF: Verdict.ALLOW,
    Action.RESTORE: Verdict.ALLOW,
    Action.FLAG: Verdict.FLAG,
    Action.REDACT: Verdict.REDACT,
    Action.BLOCK: Verdict.BLOCK,
}


def strictest(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict that *findings* amount to; ALLOW for none."""
    return max((_VERDICTS[finding.action] for finding in findings), default=Verdict.ALLOW)
