"""What a caller asks the router for. Imports neither grpc nor protobuf."""

from dataclasses import dataclass, field
from enum import StrEnum

from parley_services.kit.chat.subject import Subject
from parley_services.model_router.attempt.attempt import AttemptKind


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ToolChoiceMode(StrEnum):
    """How the model may choose among the tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class AnswerForm(StrEnum):
    """The form of an answer."""

    TEXT = "text"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"


class MidStreamPolicy(StrEnum):
    """What happens when a stream breaks after text was sent."""

    CONTINUE = "continue"
    """The next route continues the text."""
    RESTART = "restart"
    """The client drops the text, and the answer starts again."""
    FAIL = "fail"
    """The call fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's call of a tool, complete."""

    id: str
    name: str
    arguments_json: str


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
class Tool:
    """A tool that the model may call."""

    name: str
    description: str = ""
    parameters_json_schema: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an answer is drawn. None is the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_token_count: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One call of `Generate`."""

    request_id: str
    messages: tuple[Message, ...]
    subject: Subject = field(default_factory=Subject)
    model: str = ""
    """A model, a group or `auto`; empty is the default group."""
    system_text: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    form: AnswerForm = AnswerForm.TEXT
    json_schema: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoiceMode = ToolChoiceMode.AUTO
    tool_choice_name: str = ""
    mid_stream_policy: MidStreamPolicy | None = None
    """None is the operator's setting."""
    kind: AttemptKind = AttemptKind.PRIMARY
    first_attempt_number: int = 1
    top_logprob_count: int | None = None
    """How many other tokens' log probabilities are asked for at each place, 0 to 20; None
    asks for none at all."""

    @property
    def has_images(self) -> bool:
        """Whether the model must be able to see."""
        return any(message.image_urls for message in self.messages)

    def all_text(self) -> str:
        """Return everything that the model reads as text, for counting."""
        parts = [self.system_text, self.json_schema]
        for message in self.messages:
            parts.append(message.text)
            for call in message.tool_calls:
                parts += (call.name, call.arguments_json)
        for tool in self.tools:
            parts += (tool.name, tool.description, tool.parameters_json_schema)
        return "\n".join(part for part in parts if part)
