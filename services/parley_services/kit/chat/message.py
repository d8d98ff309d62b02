"""Messages of a conversation, tools, and how an answer is drawn: `parley.chat.v1.message`."""

from dataclasses import dataclass

from parley_services.kit.chat.wire_enum import WireEnum


class Role(WireEnum):
    """Who speaks in a conversation."""

    UNSPECIFIED = 0
    SYSTEM = 1
    USER = 2
    ASSISTANT = 3
    TOOL = 4


class ToolChoiceMode(WireEnum):
    """How the model may choose among the tools."""

    UNSPECIFIED = 0
    AUTO = 1
    NONE = 2
    REQUIRED = 3
    NAMED = 4


class ResponseFormatType(WireEnum):
    """The form of an answer."""

    UNSPECIFIED = 0
    TEXT = 1
    JSON_OBJECT = 2
    JSON_SCHEMA = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's call of a tool, whole."""

    id: str
    name: str
    arguments_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the model may call."""

    name: str
    description: str = ""
    parameters_json_schema: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """How the model may choose among the tools."""

    mode: ToolChoiceMode = ToolChoiceMode.UNSPECIFIED
    tool_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str = ""
    image_urls: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    """The call that a tool's message answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParameters:
    """How an answer is drawn. None is the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_token_count: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None

    def over(self, base: "SamplingParameters") -> "SamplingParameters":
        """Return these parameters, filled up from *base* where they say nothing."""
        return SamplingParameters(
            temperature=base.temperature if self.temperature is None else self.temperature,
            top_p=base.top_p if self.top_p is None else self.top_p,
            max_output_token_count=(
                base.max_output_token_count
                if self.max_output_token_count is None
                else self.max_output_token_count
            ),
            stop_sequences=self.stop_sequences or base.stop_sequences,
            seed=base.seed if self.seed is None else self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFormat:
    """The form an answer must have."""

    type: ResponseFormatType = ResponseFormatType.UNSPECIFIED
    json_schema: str = ""

    def over(self, base: "ResponseFormat") -> "ResponseFormat":
        """Return this form, or *base* where it says nothing."""
        return base if self.type is ResponseFormatType.UNSPECIFIED else self

    @property
    def is_json(self) -> bool:
        """Whether the answer must be JSON."""
        return self.type in (ResponseFormatType.JSON_OBJECT, ResponseFormatType.JSON_SCHEMA)
