"""What a turn and the guardrails tell each other."""

from dataclasses import dataclass

from parley_services.kit.chat.finding import Finding, Placeholder
from parley_services.kit.chat.input_source import InputSource
from parley_services.kit.chat.message import ResponseFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class InputText:
    """One text that would go to a model."""

    source: InputSource
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputVerdict:
    """What the guardrails say about the input."""

    texts: tuple[str, ...]
    """The texts in the order they were given, redacted."""

    findings: tuple[Finding, ...]
    placeholders: tuple[Placeholder, ...]
    blocking: Finding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputContext:
    """What a check of an answer needs to know about its turn."""

    request_id: str
    tenant_id: str
    template: str
    system_text: str
    placeholders: tuple[Placeholder, ...]
    response_format: ResponseFormat
    user_texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Released:
    """Text that may be shown."""

    text: str


@dataclass(frozen=True, slots=True)
class Intervention:
    """A rule changed or stopped something."""

    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanEnded:
    """The scan is over."""

    blocked: bool
    cacheable_text: str
    format_error: str
    findings: tuple[Finding, ...]


ScanResult = Released | Intervention | ScanEnded
