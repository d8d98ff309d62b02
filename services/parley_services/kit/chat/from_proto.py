"""
Turns messages of `parley.chat.v1` into the shared values, one function a noun.

Import the module, not the functions: `from_proto.message(...)`. `to_proto` is the way back.
Enums are read by number, and a number that is not known is UNSPECIFIED.
"""

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp
from parley.chat.v1 import attempt_pb2, finding_pb2, message_pb2, subject_pb2, usage_pb2

from parley_services.kit.chat.attempt import Attempt, AttemptKind, AttemptOutcome
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction, Severity
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    ResponseFormatType,
    Role,
    SamplingParameters,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
)
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import InvalidArgument


def seconds(message: Duration) -> float:
    """Return a span in seconds."""
    return message.seconds + message.nanos / 1e9


def optional_seconds(message: ProtoMessage, field: str) -> float | None:
    """Return the Duration *field* of *message* in seconds, None if it is unset."""
    return seconds(getattr(message, field)) if message.HasField(field) else None


def time(message: Timestamp) -> datetime:
    """Return a point of time, aware, in UTC."""
    return message.ToDatetime(UTC)


def optional_time(message: ProtoMessage, field: str) -> datetime | None:
    """
    Return the Timestamp *field* of *message*, None if it is unset.

    Raises InvalidArgument that names *field* if it lies outside of the years 1 to 9999.
    """
    if not message.HasField(field):
        return None
    try:
        return time(getattr(message, field))
    except (OverflowError, ValueError):
        raise InvalidArgument.field(field, "must be a time from year 1 to 9999") from None


def subject(message: subject_pb2.Subject) -> Subject:
    """Return who a turn is for."""
    return Subject(
        tenant_id=message.tenant_id,
        team_id=message.team_id,
        user_id=message.user_id,
        key_id=message.key_id,
    )


def usage(message: usage_pb2.Usage) -> Usage:
    """Return what a call used."""
    return Usage(
        input_token_count=message.input_token_count,
        cached_input_token_count=message.cached_input_token_count,
        cache_write_token_count=message.cache_write_token_count,
        cache_write_1h_token_count=message.cache_write_1h_token_count,
        output_token_count=message.output_token_count,
        reasoning_token_count=message.reasoning_token_count,
        estimated=message.estimated,
    )


def tool_call(message: message_pb2.ToolCall) -> ToolCall:
    """Return a call of a tool."""
    return ToolCall(id=message.id, name=message.name, arguments_json=message.arguments_json)


def tool(message: message_pb2.Tool) -> Tool:
    """Return a tool."""
    return Tool(
        name=message.name,
        description=message.description,
        parameters_json_schema=message.parameters_json_schema,
    )


def tool_choice(message: message_pb2.ToolChoice) -> ToolChoice:
    """Return a choice among tools."""
    return ToolChoice(mode=ToolChoiceMode(message.mode), tool_name=message.tool_name)


def message(wire: message_pb2.Message) -> Message:
    """Return a message of a conversation."""
    return Message(
        role=Role(wire.role),
        text=wire.text,
        image_urls=tuple(image.url for image in wire.images),
        tool_calls=tuple(tool_call(call) for call in wire.tool_calls),
        tool_call_id=wire.tool_call_id,
    )


def sampling_parameters(message: message_pb2.SamplingParameters) -> SamplingParameters:
    """Return sampling parameters; what is unset is None."""
    return SamplingParameters(
        temperature=message.temperature if message.HasField("temperature") else None,
        top_p=message.top_p if message.HasField("top_p") else None,
        max_output_token_count=(
            message.max_output_token_count if message.HasField("max_output_token_count") else None
        ),
        stop_sequences=tuple(message.stop_sequences),
        seed=message.seed if message.HasField("seed") else None,
    )


def response_format(message: message_pb2.ResponseFormat) -> ResponseFormat:
    """Return a response format."""
    return ResponseFormat(type=ResponseFormatType(message.type), json_schema=message.json_schema)


def finding(message: finding_pb2.Finding) -> Finding:
    """Return a finding."""
    return Finding(
        rule_id=message.rule_id,
        stage=FindingStage(message.stage),
        action=GuardrailAction(message.action),
        severity=Severity(message.severity),
        category=message.category,
        start=message.start,
        end=message.end,
        score=message.score,
    )


def attempt(message: attempt_pb2.Attempt) -> Attempt:
    """Return a call to a provider."""
    return Attempt(
        number=message.number,
        provider=message.provider,
        model=message.model,
        kind=AttemptKind(message.kind),
        outcome=AttemptOutcome(message.outcome),
        error_kind=message.error_kind,
        usage=usage(message.usage),
        cost_nano_usd=message.cost_nano_usd,
        price_version=message.price_version,
        first_token_seconds=optional_seconds(message, "first_token_latency"),
        duration_seconds=seconds(message.duration),
        provider_request_id=message.provider_request_id,
    )
