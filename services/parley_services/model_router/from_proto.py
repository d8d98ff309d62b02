"""
Turns requests to the router into its domain, and refuses those that are wrong.

Import the module, not the functions: `from_proto.generation_request(...)`.
"""

from collections.abc import Iterable

from parley.chat.v1 import message_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb

from parley_services.kit import bounded_json
from parley_services.kit.chat import from_proto as chat_from_proto
from parley_services.kit.chat.attempt import AttemptKind, MidStreamPolicy
from parley_services.kit.errors import FieldViolation, InvalidArgument
from parley_services.model_router.generation import GenerationRequest


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
        max_attempt_count=message.max_attempt_count,
        input_token_count=message.input_token_count or None,
    )


def _violations(message: pb.GenerateRequest) -> Iterable[FieldViolation]:
    for index, each in enumerate(message.messages):
        for number, call in enumerate(each.tool_calls):
            where = f"messages[{index}].tool_calls[{number}].arguments_json"
            yield from _violation_of_json(where, call.arguments_json)
    response_format = message.response_format
    if response_format.type == message_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA:
        schema = response_format.json_schema or "null"
        yield from _violation_of_json("response_format.json_schema", schema, is_object=True)
    for index, tool in enumerate(message.tools):
        where = f"tools[{index}].parameters_json_schema"
        yield from _violation_of_json(where, tool.parameters_json_schema, is_object=True)
    choice = message.tool_choice
    if choice.mode == message_pb2.TOOL_CHOICE_MODE_NAMED and choice.tool_name not in (
        tool.name for tool in message.tools
    ):
        yield _wrong("tool_choice.tool_name", "must name one of the tools.")


def _wrong(field: str, description: str) -> FieldViolation:
    return FieldViolation(field=field, description=description)


def _violation_of_json(
    field: str, text: str, *, is_object: bool = False
) -> Iterable[FieldViolation]:
    """Yield what is wrong with *text*, which may be empty."""
    if not text:
        return
    try:
        value = bounded_json.load(text)
    except bounded_json.JsonRefused as refused:
        yield _wrong(field, str(refused))
        return
    if is_object and not isinstance(value, dict):
        yield _wrong(field, "must be a JSON object.")
