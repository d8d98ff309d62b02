"""A chat turn as it is asked for, and what makes it acceptable."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from parley_services.kit.chat.attempt import MidStreamPolicy
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    ResponseFormatType,
    Role,
    SamplingParameters,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.kit.errors import FieldViolation, InputTooLarge, InvalidArgument
from parley_services.kit.models.tokens import count_tokens

DEFAULT_TEMPLATE = "general_chat"
TEXT_VARIABLE = "text"
CONTEXT_VARIABLE = "context"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByLabel:
    """The version that carries this label."""

    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByVersion:
    """This very version."""

    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ByArm:
    """This arm of the running experiment."""

    arm: str


class CacheMode(WireEnum):
    """Whether an earlier answer may be reused."""

    UNSPECIFIED = 0
    DEFAULT = 1
    BYPASS = 2
    REFRESH = 3


TemplateSelector = ByLabel | ByVersion | ByArm | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One chat turn. Fields as in `parley.orchestrator.v1.ChatRequest`."""

    request_id: str
    text: str
    history: tuple[Message, ...] = ()
    user_id: str = ""
    conversation_id: str = ""
    template: str = DEFAULT_TEMPLATE
    selector: TemplateSelector = None
    variables: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    parameters: SamplingParameters = field(default_factory=SamplingParameters)
    response_format: ResponseFormat = field(default_factory=ResponseFormat)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    cache_mode: CacheMode = CacheMode.DEFAULT
    mid_stream_policy: MidStreamPolicy = MidStreamPolicy.UNSPECIFIED
    tags: Mapping[str, str] = field(default_factory=dict)
    context_documents: tuple[str, ...] = ()

    def input_token_count(self) -> int:
        """Count the tokens of all that the caller sent."""
        texts = (
            self.text,
            *(message.text for message in self.history),
            *self.variables.values(),
            *self.context_documents,
        )
        return sum(count_tokens(text) for text in texts if text)


def validate(request: TurnRequest, *, max_input_tokens: int) -> int:
    """
    Check *request* and return the number of its input tokens.

    Raises InvalidArgument naming every field that is wrong, or InputTooLarge if the texts
    have more than *max_input_tokens* tokens in all.
    """
    violations = list(_violations(request))
    if violations:
        raise InvalidArgument.of(*violations)
    # A token is at least one byte, so texts far over the limit need no counting.
    size = len(request.text) + sum(len(each.text) for each in request.history)
    count = size if size > max_input_tokens * 64 else request.input_token_count()
    if count > max_input_tokens:
        raise InputTooLarge(
            f"The request has {count} input tokens and the limit is {max_input_tokens}: "
            "shorten the text or the history.",
            metadata={"limit": str(max_input_tokens), "actual": str(count), "unit": "tokens"},
        )
    return count


def _violations(request: TurnRequest) -> Iterator[FieldViolation]:
    yield from _identity_violations(request)
    yield from _conversation_violations(request)
    yield from _format_violations(request.response_format)
    yield from _tool_violations(request)
    yield from _label_violations(request)


def _identity_violations(request: TurnRequest) -> Iterator[FieldViolation]:
    if not request.text.strip():
        yield _wrong("text", "Send a text that is not empty.")


def _label_violations(request: TurnRequest) -> Iterator[FieldViolation]:
    for name in request.variables:
        if name == TEXT_VARIABLE:
            yield _wrong(f"variables.{name}", "This variable is set from the field `text`.")


def _conversation_violations(request: TurnRequest) -> Iterator[FieldViolation]:
    for index, message in enumerate(request.history):
        path = f"history[{index}]"
        if message.role not in (Role.USER, Role.ASSISTANT, Role.TOOL):
            yield _wrong(f"{path}.role", "Use ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL.")
        if message.role is Role.TOOL and not message.tool_call_id:
            yield _wrong(f"{path}.tool_call_id", "Name the call that this message answers.")
        if not (message.text or message.image_urls or message.tool_calls or message.tool_call_id):
            yield _wrong(f"{path}.text", "Send a text that is not empty.")
    if request.context_documents and CONTEXT_VARIABLE in request.variables:
        yield _wrong(
            f"variables.{CONTEXT_VARIABLE}", "Send either this variable or `context_documents`."
        )


def _format_violations(response_format: ResponseFormat) -> Iterator[FieldViolation]:
    if response_format.type is ResponseFormatType.JSON_SCHEMA:
        if not _is_json_object(response_format.json_schema):
            yield _wrong("response_format.json_schema", "Send a JSON Schema as a JSON object.")
    elif response_format.json_schema:
        yield _wrong("response_format.type", "A schema needs RESPONSE_FORMAT_TYPE_JSON_SCHEMA.")


def _tool_violations(request: TurnRequest) -> Iterator[FieldViolation]:
    names = [tool.name for tool in request.tools]
    if len(set(names)) < len(names):
        yield _wrong("tools", "Each tool needs a name of its own.")
    for index, tool in enumerate(request.tools):
        if tool.parameters_json_schema and not _is_json_object(tool.parameters_json_schema):
            yield _wrong(f"tools[{index}].parameters_json_schema", "Send a JSON object.")
    choice = request.tool_choice
    if choice.mode is ToolChoiceMode.NAMED and choice.tool_name not in names:
        yield _wrong("tool_choice.tool_name", "Name one of the tools.")


def _wrong(field_path: str, description: str) -> FieldViolation:
    return FieldViolation(field=field_path, description=description)


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
