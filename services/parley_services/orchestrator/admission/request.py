"""A chat turn as it is asked for, and what makes it acceptable."""

import json
import re
import uuid
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

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_TAGS, _MAX_TAG_CHARACTERS = 16, 64
_MAX_TOOLS, _MAX_HISTORY, _MAX_STOPS, _MAX_DOCUMENTS = 128, 1000, 4, 64
_MAX_ID_CHARACTERS = 256


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
    yield from _parameter_violations(request.parameters)
    yield from _format_violations(request.response_format)
    yield from _tool_violations(request)
    yield from _label_violations(request)


def _identity_violations(request: TurnRequest) -> Iterator[FieldViolation]:
    if not _is_uuid(request.request_id):
        yield _wrong("request_id", "Send a UUID in 36 characters, or nothing.")
    if not request.text.strip():
        yield _wrong("text", "Send a text that is not empty.")
    for name, value in (
        ("user_id", request.user_id),
        ("conversation_id", request.conversation_id),
        ("template", request.template),
        ("model", request.model),
    ):
        if len(value) > _MAX_ID_CHARACTERS:
            yield _wrong(name, f"Use at most {_MAX_ID_CHARACTERS} characters.")
    match request.selector:
        case ByVersion(version=version) if version < 1:
            yield _wrong("template_version", "Versions start at 1.")
        case ByLabel(label="") | ByArm(arm=""):
            yield _wrong("template_selector", "Name the label or the arm, or leave it unset.")
        case _:
            pass


def _label_violations(request: TurnRequest) -> Iterator[FieldViolation]:
    for name in request.variables:
        if name == TEXT_VARIABLE:
            yield _wrong(f"variables.{name}", "This variable is set from the field `text`.")
        elif not _NAME.fullmatch(name):
            yield _wrong("variables", "Names are identifiers of up to 64 characters.")
    if len(request.tags) > _MAX_TAGS:
        yield _wrong("tags", f"Send at most {_MAX_TAGS} tags.")
    for key, value in request.tags.items():
        if not key or len(key) > _MAX_TAG_CHARACTERS or len(value) > _MAX_TAG_CHARACTERS:
            yield _wrong("tags", f"Use 1 to {_MAX_TAG_CHARACTERS} characters a name and value.")


def _conversation_violations(request: TurnRequest) -> Iterator[FieldViolation]:
    if len(request.history) > _MAX_HISTORY:
        yield _wrong("history", f"Send at most {_MAX_HISTORY} messages.")
        return
    for index, message in enumerate(request.history):
        path = f"history[{index}]"
        if message.role not in (Role.USER, Role.ASSISTANT, Role.TOOL):
            yield _wrong(f"{path}.role", "Use ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL.")
        if message.role is Role.TOOL and not message.tool_call_id:
            yield _wrong(f"{path}.tool_call_id", "Name the call that this message answers.")
        if not (message.text or message.image_urls or message.tool_calls or message.tool_call_id):
            yield _wrong(f"{path}.text", "Send a text that is not empty.")
        for url in message.image_urls:
            if not url.startswith(("https://", "data:image/")):
                yield _wrong(f"{path}.images", "Use an https or data URL.")
    if len(request.context_documents) > _MAX_DOCUMENTS:
        yield _wrong("context_documents", f"Send at most {_MAX_DOCUMENTS} documents.")
    if request.context_documents and CONTEXT_VARIABLE in request.variables:
        yield _wrong(
            f"variables.{CONTEXT_VARIABLE}", "Send either this variable or `context_documents`."
        )


def _parameter_violations(parameters: SamplingParameters) -> Iterator[FieldViolation]:
    temperature, top_p = parameters.temperature, parameters.top_p
    if temperature is not None and not 0 <= temperature <= 2:
        yield _wrong("parameters.temperature", "Use a value from 0 to 2.")
    if top_p is not None and not 0 < top_p <= 1:
        yield _wrong("parameters.top_p", "Use a value above 0 and up to 1.")
    limit = parameters.max_output_token_count
    if limit is not None and limit < 1:
        yield _wrong("parameters.max_output_token_count", "Use at least 1.")
    if len(parameters.stop_sequences) > _MAX_STOPS or not all(parameters.stop_sequences):
        yield _wrong("parameters.stop_sequences", f"Send up to {_MAX_STOPS} texts, none empty.")


def _format_violations(response_format: ResponseFormat) -> Iterator[FieldViolation]:
    if response_format.type is ResponseFormatType.JSON_SCHEMA:
        if not _is_json_object(response_format.json_schema):
            yield _wrong("response_format.json_schema", "Send a JSON Schema as a JSON object.")
    elif response_format.json_schema:
        yield _wrong("response_format.type", "A schema needs RESPONSE_FORMAT_TYPE_JSON_SCHEMA.")


def _tool_violations(request: TurnRequest) -> Iterator[FieldViolation]:
    if len(request.tools) > _MAX_TOOLS:
        yield _wrong("tools", f"Send at most {_MAX_TOOLS} tools.")
    names = [tool.name for tool in request.tools]
    if len(set(names)) < len(names):
        yield _wrong("tools", "Each tool needs a name of its own.")
    for index, tool in enumerate(request.tools):
        if not _TOOL_NAME.fullmatch(tool.name):
            yield _wrong(f"tools[{index}].name", "Use 1 to 64 characters of [a-zA-Z0-9_-].")
        if tool.parameters_json_schema and not _is_json_object(tool.parameters_json_schema):
            yield _wrong(f"tools[{index}].parameters_json_schema", "Send a JSON object.")
    choice = request.tool_choice
    if choice.mode is ToolChoiceMode.NAMED and choice.tool_name not in names:
        yield _wrong("tool_choice.tool_name", "Name one of the tools.")


def _wrong(field_path: str, description: str) -> FieldViolation:
    return FieldViolation(field=field_path, description=description)


def _is_uuid(text: str) -> bool:
    try:
        return len(text) == 36 and bool(uuid.UUID(text))
    except ValueError:
        return False


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
