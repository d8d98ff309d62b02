"""
Turns the shared values into messages of `parley.chat.v1`, one function a noun.

Import the module, not the functions: `to_proto.message(...)`. `from_proto` is the way back.
"""

from datetime import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from parley.chat.v1 import attempt_pb2, finding_pb2, message_pb2, subject_pb2, usage_pb2

from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.finding import Finding
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    SamplingParameters,
    Tool,
    ToolCall,
    ToolChoice,
)
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage


def duration(seconds: float) -> Duration:
    """Return a span of *seconds* as a message, to the nanosecond."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def optional_duration(seconds: float | None) -> Duration | None:
    """Return a span of *seconds* as a message, None for None."""
    return None if seconds is None else duration(seconds)


def timestamp(at: datetime) -> Timestamp:
    """Return an aware time as a message."""
    message = Timestamp()
    message.FromDatetime(at)
    return message


def optional_timestamp(at: datetime | None) -> Timestamp | None:
    """Return an aware time as a message, None for None."""
    return None if at is None else timestamp(at)


def subject(value: Subject) -> subject_pb2.Subject:
    """Return who a turn is for as a message."""
    return subject_pb2.Subject(
        tenant_id=value.tenant_id,
        team_id=value.team_id,
        user_id=value.user_id,
        key_id=value.key_id,
    )


def usage(value: Usage) -> usage_pb2.Usage:
    """Return what a call used as a message."""
    return usage_pb2.Usage(
        input_token_count=value.input_token_count,
        cached_input_token_count=value.cached_input_token_count,
        cache_write_token_count=value.cache_write_token_count,
        cache_write_1h_token_count=value.cache_write_1h_token_count,
        output_token_count=value.output_token_count,
        reasoning_token_count=value.reasoning_token_count,
        estimated=value.estimated,
    )


def tool_call(value: ToolCall) -> message_pb2.ToolCall:
    """Return a call of a tool as a message."""
    return message_pb2.ToolCall(id=value.id, name=value.name, arguments_json=value.arguments_json)


def tool(value: Tool) -> message_pb2.Tool:
    """Return a tool as a message."""
    return message_pb2.Tool(
        name=value.name,
        description=value.description,
        parameters_json_schema=value.parameters_json_schema,
    )


def tool_choice(value: ToolChoice) -> message_pb2.ToolChoice:
    """Return a choice among tools as a message."""
    return message_pb2.ToolChoice(
        mode=message_pb2.ToolChoiceMode.ValueType(value.mode), tool_name=value.tool_name
    )


def message(value: Message) -> message_pb2.Message:
    """Return a message of a conversation as a message of the wire."""
    return message_pb2.Message(
        role=message_pb2.Role.ValueType(value.role),
        text=value.text,
        images=[message_pb2.Image(url=url) for url in value.image_urls],
        tool_calls=[tool_call(call) for call in value.tool_calls],
        tool_call_id=value.tool_call_id,
    )


def sampling_parameters(value: SamplingParameters) -> message_pb2.SamplingParameters:
    """Return sampling parameters as a message; what is None stays unset."""
    return message_pb2.SamplingParameters(
        temperature=value.temperature,
        top_p=value.top_p,
        max_output_token_count=value.max_output_token_count,
        stop_sequences=value.stop_sequences,
        seed=value.seed,
    )


def response_format(value: ResponseFormat) -> message_pb2.ResponseFormat:
    """Return a response format as a message."""
    return message_pb2.ResponseFormat(
        type=message_pb2.ResponseFormatType.ValueType(value.type),
        json_schema=value.json_schema,
    )


def finding(value: Finding) -> finding_pb2.Finding:
    """Return a finding as a message."""
    return finding_pb2.Finding(
        rule_id=value.rule_id,
        stage=finding_pb2.FindingStage.ValueType(value.stage),
        action=finding_pb2.GuardrailAction.ValueType(value.action),
        severity=finding_pb2.Severity.ValueType(value.severity),
        category=value.category,
        start=value.start,
        end=value.end,
        score=value.score,
    )


def attempt(value: Attempt) -> attempt_pb2.Attempt:
    """Return a call to a provider as a message."""
    return attempt_pb2.Attempt(
        number=value.number,
        provider=value.provider,
        model=value.model,
        kind=attempt_pb2.AttemptKind.ValueType(value.kind),
        outcome=attempt_pb2.AttemptOutcome.ValueType(value.outcome),
        error_kind=value.error_kind,
        usage=usage(value.usage),
        cost_nano_usd=value.cost_nano_usd,
        price_version=value.price_version,
        first_token_latency=optional_duration(value.first_token_seconds),
        duration=duration(value.duration_seconds),
        provider_request_id=value.provider_request_id,
    )
