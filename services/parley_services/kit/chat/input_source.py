"""Texts of a turn for the guardrails, and where they come from: `parley.guardrails.v1`."""

from dataclasses import dataclass

from parley_services.kit.chat.finding import FindingStage
from parley_services.kit.chat.wire_enum import WireEnum


class TextFormat(WireEnum):
    """What an input text is; UNSPECIFIED is the same as TEXT."""

    UNSPECIFIED = 0
    TEXT = 1
    JSON = 2
    """Its keys and values are judged without their escapes, and it stays JSON."""


class InputSource(WireEnum):
    """Where an input text comes from."""

    UNSPECIFIED = 0
    USER = 1
    HISTORY_USER = 2
    HISTORY_ASSISTANT = 3
    VARIABLE = 4
    DOCUMENT = 5
    TOOL = 6
    HISTORY_TOOL_CALL = 7
    """The arguments of an earlier tool call."""
    TOOL_DEFINITION = 8
    """A tool's name, its description, or the schema of its arguments."""
    RESPONSE_FORMAT = 9
    """The schema that the answer must fit."""
    IMAGE_URL = 10
    STOP_SEQUENCE = 11
    LABEL = 12
    """An id or a tag that reaches a provider."""

    @property
    def stage(self) -> FindingStage:
        """The stage whose rules judge such a text."""
        return FindingStage.CONTEXT if self in _CONTEXT else FindingStage.INPUT


_CONTEXT = frozenset(
    {
        InputSource.DOCUMENT,
        InputSource.TOOL,
        # Tools often come from somebody else's server, and a model obeys their descriptions.
        InputSource.TOOL_DEFINITION,
        InputSource.RESPONSE_FORMAT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputText:
    """One text that would go to a model."""

    text: str
    source: InputSource = InputSource.USER
    format: TextFormat = TextFormat.TEXT
