"""
Turns requests to the router into its domain, and refuses those that are wrong.

Import the module, not the functions: `from_proto.generation_request(...)`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import orjson
from parley.chat.v1 import attempt_pb2, message_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb

from parley_services.kit.chat import from_proto as chat_from_proto
from parley_services.kit.chat.attempt import AttemptKind, MidStreamPolicy
from parley_services.kit.chat.message import Role
from parley_services.kit.errors import FieldViolation, InvalidArgument
from parley_services.model_router.generation import GenerationRequest

MAX_STOP_SEQUENCES: Final = 4
MAX_TOP_LOGPROBS: Final = 20
"""The most that OpenAI's APIs give."""

ALLOWED_KINDS: Final = (
    attempt_pb2.ATTEMPT_KIND_UNSPECIFIED,
    attempt_pb2.ATTEMPT_KIND_PRIMARY,
    attempt_pb2.ATTEMPT_KIND_REPAIR,
    attempt_pb2.ATTEMPT_KIND_SHADOW,
)
"""What a caller may ask for; the other kinds are the router's own."""


def generation_request(message: pb.GenerateRequest) -> GenerationRequest:
    """Return what is asked for. Raises InvalidArgument that names each wrong field."""
    wrong = list(_violations(message))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return GenerationRequest(
        request_id=message.request_id,
        subject=chat_from_proto.subject(message.subject),
        model=message.model,
        system_text=message.system_text,
        messages=tuple(map(chat_from_proto.message, message.messages)),
        parameters=chat_from_proto.sampling_parameters(message.parameters),
        response_format=chat_from_proto.response_format(message.response_format),
        tools=tuple(map(chat_from_proto.tool, message.tools)),
        tool_choice=chat_from_proto.tool_choice(message.tool_choice),
        mid_stream_policy=MidStreamPolicy(message.mid_stream_policy),
        kind=AttemptKind(message.kind) or AttemptKind.PRIMARY,
        first_attempt_number=message.first_attempt_number or 1,
        top_logprob_count=(
            message.top_logprob_count if message.HasField("top_logprob_count") else None
        ),
        input_token_count=message.input_token_count or None,
    )


def _violations(message: pb.GenerateRequest) -> Iterable[FieldViolation]:
    yield from _violations_of_messages(message.messages)
    if message.kind not in ALLOWED_KINDS:
        yield _wrong("kind", "must be PRIMARY, REPAIR or SHADOW.")
    if message.mid_stream_policy not in attempt_pb2.MidStreamPolicy.values():
        yield _wrong("mid_stream_policy", "must be a known policy.")
    if message.first_attempt_number < 0:
        yield _wrong("first_attempt_number", "must be 0 or more.")
    if message.input_token_count < 0:
        yield _wrong("input_token_count", "must be 0 or more.")
    if not 0 <= message.top_logprob_count <= MAX_TOP_LOGPROBS:
        yield _wrong("top_logprob_count", f"must be from 0 to {MAX_TOP_LOGPROBS}.")
    yield from _violations_of_parameters(message.parameters)
    yield from _violations_of_format(message.response_format)
    yield from _violations_of_tools(message)


def _violations_of_messages(messages: Sequence[message_pb2.Message]) -> Iterable[FieldViolation]:
    if not messages:
        yield _wrong("messages", "must hold at least one message.")
    for index, each in enumerate(messages):
        where = f"messages[{index}]"
        if Role(each.role) is Role.UNSPECIFIED:
            yield _wrong(f"{where}.role", "must be a known role.")
        for number, image in enumerate(each.images):
            if not image.url.startswith(("https://", "data:")):
                yield _wrong(f"{where}.images[{number}].url", "must be an https or data URL.")
        for number, call in enumerate(each.tool_calls):
            if not _is_json(call.arguments_json or "{}"):
                yield _wrong(f"{where}.tool_calls[{number}].arguments_json", "must be JSON.")


def _violations_of_parameters(given: message_pb2.SamplingParameters) -> Iterable[FieldViolation]:
    if not 0 <= given.temperature <= 2:
        yield _wrong("parameters.temperature", "must be from 0 to 2.")
    if given.HasField("top_p") and not 0 < given.top_p <= 1:
        yield _wrong("parameters.top_p", "must be above 0 and up to 1.")
    if given.HasField("max_output_token_count") and given.max_output_token_count < 1:
        yield _wrong("parameters.max_output_token_count", "must be at least 1.")
    if len(given.stop_sequences) > MAX_STOP_SEQUENCES or not all(given.stop_sequences):
        yield _wrong("parameters.stop_sequences", "must be up to 4 texts, none empty.")


def _violations_of_format(given: message_pb2.ResponseFormat) -> Iterable[FieldViolation]:
    if given.type not in message_pb2.ResponseFormatType.values():
        yield _wrong("response_format.type", "must be a known format.")
    elif given.type == message_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA and not _is_object(
        given.json_schema
    ):
        yield _wrong("response_format.json_schema", "must be a JSON Schema, as a JSON object.")


def _violations_of_tools(message: pb.GenerateRequest) -> Iterable[FieldViolation]:
    names = [tool.name for tool in message.tools]
    for index, tool in enumerate(message.tools):
        if not tool.name:
            yield _wrong(f"tools[{index}].name", "must not be empty.")
        if tool.parameters_json_schema and not _is_object(tool.parameters_json_schema):
            yield _wrong(f"tools[{index}].parameters_json_schema", "must be a JSON object.")
    mode = message.tool_choice.mode
    if mode not in message_pb2.ToolChoiceMode.values():
        yield _wrong("tool_choice.mode", "must be a known mode.")
    elif mode == message_pb2.TOOL_CHOICE_MODE_NAMED and message.tool_choice.tool_name not in names:
        yield _wrong("tool_choice.tool_name", "must name one of the tools.")


def _wrong(field: str, description: str) -> FieldViolation:
    return FieldViolation(field=field, description=description)


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_object(text: str) -> bool:
    return text.lstrip().startswith("{") and _is_json(text)
