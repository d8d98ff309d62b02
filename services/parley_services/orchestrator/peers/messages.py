"""The nouns of a turn as messages, and back."""

from parley.chat.v1 import chat_pb2
from parley.model_router.v1 import model_router_service_pb2 as router_pb2

from parley_services.kit.chat.messages import duration, seconds_of, usage_from, usage_to
from parley_services.orchestrator.values import (
    Action,
    Attempt,
    AttemptKind,
    AttemptOutcome,
    Finding,
    Message,
    ResponseFormat,
    ResponseFormatType,
    Role,
    SamplingParameters,
    Severity,
    Stage,
    Subject,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
)


def subject_of(message: chat_pb2.Subject) -> Subject:
    """Return a message as a subject."""
    return Subject(
        tenant_id=message.tenant_id,
        team_id=message.team_id,
        user_id=message.user_id,
        key_id=message.key_id,
    )


def tool_call_message(call: ToolCall) -> chat_pb2.ToolCall:
    """Return a tool call as a message."""
    return chat_pb2.ToolCall(id=call.id, name=call.name, arguments_json=call.arguments_json)


def tool_call_of(message: chat_pb2.ToolCall) -> ToolCall:
    """Return a message as a tool call."""
    return ToolCall(id=message.id, name=message.name, arguments_json=message.arguments_json)


def tool_message(tool: Tool) -> chat_pb2.Tool:
    """Return a tool as a message."""
    return chat_pb2.Tool(
        name=tool.name,
        description=tool.description,
        parameters_json_schema=tool.parameters_json_schema,
    )


def tool_of(message: chat_pb2.Tool) -> Tool:
    """Return a message as a tool."""
    return Tool(
        name=message.name,
        description=message.description,
        parameters_json_schema=message.parameters_json_schema,
    )


def tool_choice_message(choice: ToolChoice) -> chat_pb2.ToolChoice:
    """Return a choice as a message."""
    return chat_pb2.ToolChoice(
        mode=chat_pb2.ToolChoiceMode.ValueType(choice.mode), tool_name=choice.tool_name
    )


def tool_choice_of(message: chat_pb2.ToolChoice) -> ToolChoice:
    """Return a message as a choice."""
    return ToolChoice(mode=ToolChoiceMode(message.mode), tool_name=message.tool_name)


def message_message(message: Message) -> chat_pb2.Message:
    """Return a message of a conversation as a message of the wire."""
    return chat_pb2.Message(
        role=chat_pb2.Role.ValueType(message.role),
        text=message.text,
        images=[chat_pb2.Image(url=url) for url in message.image_urls],
        tool_calls=[tool_call_message(call) for call in message.tool_calls],
        tool_call_id=message.tool_call_id,
    )


def message_of(message: chat_pb2.Message) -> Message:
    """Return a message of the wire as a message of a conversation."""
    return Message(
        role=Role(message.role),
        text=message.text,
        image_urls=tuple(image.url for image in message.images),
        tool_calls=tuple(tool_call_of(call) for call in message.tool_calls),
        tool_call_id=message.tool_call_id,
    )


def parameters_message(parameters: SamplingParameters) -> chat_pb2.SamplingParameters:
    """Return parameters as a message."""
    return chat_pb2.SamplingParameters(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_output_token_count=parameters.max_output_token_count,
        stop_sequences=parameters.stop_sequences,
        seed=parameters.seed,
    )


def parameters_of(message: chat_pb2.SamplingParameters) -> SamplingParameters:
    """Return a message as parameters; what is unset is None."""

    def given(field: str) -> bool:
        return message.HasField(field)  # type: ignore[arg-type]

    return SamplingParameters(
        temperature=message.temperature if given("temperature") else None,
        top_p=message.top_p if given("top_p") else None,
        max_output_token_count=(
            message.max_output_token_count if given("max_output_token_count") else None
        ),
        stop_sequences=tuple(message.stop_sequences),
        seed=message.seed if given("seed") else None,
    )


def format_message(response_format: ResponseFormat) -> chat_pb2.ResponseFormat:
    """Return a response format as a message."""
    return chat_pb2.ResponseFormat(
        type=chat_pb2.ResponseFormatType.ValueType(response_format.type),
        json_schema=response_format.json_schema,
    )


def format_of(message: chat_pb2.ResponseFormat) -> ResponseFormat:
    """Return a message as a response format."""
    return ResponseFormat(type=ResponseFormatType(message.type), json_schema=message.json_schema)


def finding_message(finding: Finding) -> chat_pb2.Finding:
    """Return a finding as a message."""
    return chat_pb2.Finding(
        rule_id=finding.rule_id,
        stage=chat_pb2.Stage.ValueType(finding.stage),
        action=chat_pb2.Action.ValueType(finding.action),
        severity=chat_pb2.Severity.ValueType(finding.severity),
        category=finding.category,
        start=finding.start,
        end=finding.end,
        score=finding.score,
    )


def finding_of(message: chat_pb2.Finding) -> Finding:
    """Return a message as a finding."""
    return Finding(
        rule_id=message.rule_id,
        stage=Stage(message.stage),
        action=Action(message.action),
        severity=Severity(message.severity),
        category=message.category,
        start=message.start,
        end=message.end,
        score=message.score,
    )


def attempt_message(attempt: Attempt) -> router_pb2.Attempt:
    """Return an attempt as a message."""
    first = attempt.first_token_seconds
    return router_pb2.Attempt(
        number=attempt.number,
        provider=attempt.provider,
        model=attempt.model,
        kind=router_pb2.AttemptKind.ValueType(attempt.kind),
        outcome=router_pb2.AttemptOutcome.ValueType(attempt.outcome),
        error_kind=attempt.error_kind,
        usage=usage_to(attempt.usage),
        cost_nano_usd=attempt.cost_nano_usd,
        price_version=attempt.price_version,
        first_token_latency=None if first is None else duration(first),
        duration=duration(attempt.duration_seconds),
        provider_request_id=attempt.provider_request_id,
    )


def attempt_of(message: router_pb2.Attempt) -> Attempt:
    """Return a message as an attempt."""
    return Attempt(
        number=message.number,
        provider=message.provider,
        model=message.model,
        kind=AttemptKind(message.kind),
        outcome=AttemptOutcome(message.outcome),
        error_kind=message.error_kind,
        usage=usage_from(message.usage),
        cost_nano_usd=message.cost_nano_usd,
        price_version=message.price_version,
        first_token_seconds=(
            seconds_of(message.first_token_latency)
            if message.HasField("first_token_latency")
            else None
        ),
        duration_seconds=seconds_of(message.duration),
        provider_request_id=message.provider_request_id,
    )
