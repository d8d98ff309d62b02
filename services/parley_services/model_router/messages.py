"""Converts between the router's protobuf messages and its domain."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, assert_never

import orjson
from parley.chat.v1 import answer_pb2, attempt_pb2, message_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb

from parley_services.kit.chat import to_proto
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import FieldViolation, InvalidArgument
from parley_services.model_router.attempt.attempt import Attempt, AttemptKind, AttemptOutcome
from parley_services.model_router.generation import (
    AnswerForm,
    GenerationRequest,
    Message,
    MidStreamPolicy,
    Role,
    Sampling,
    Tool,
    ToolCall,
    ToolChoiceMode,
)
from parley_services.model_router.providers.provider import (
    FinishReason,
    Logprobs,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)
from parley_services.model_router.stream.events import (
    AttemptEnded,
    Completed,
    RouteChosen,
    RouterEvent,
    Switched,
)

MAX_STOP_SEQUENCES: Final = 4
MAX_TOP_LOGPROBS: Final = 20
"""The most that OpenAI's APIs give."""

ROLES: Final["Mapping[message_pb2.Role.ValueType, Role]"] = {
    message_pb2.ROLE_SYSTEM: Role.SYSTEM,
    message_pb2.ROLE_USER: Role.USER,
    message_pb2.ROLE_ASSISTANT: Role.ASSISTANT,
    message_pb2.ROLE_TOOL: Role.TOOL,
}
TOOL_CHOICES: Final["Mapping[message_pb2.ToolChoiceMode.ValueType, ToolChoiceMode]"] = {
    message_pb2.TOOL_CHOICE_MODE_UNSPECIFIED: ToolChoiceMode.AUTO,
    message_pb2.TOOL_CHOICE_MODE_AUTO: ToolChoiceMode.AUTO,
    message_pb2.TOOL_CHOICE_MODE_NONE: ToolChoiceMode.NONE,
    message_pb2.TOOL_CHOICE_MODE_REQUIRED: ToolChoiceMode.REQUIRED,
    message_pb2.TOOL_CHOICE_MODE_NAMED: ToolChoiceMode.NAMED,
}
FORMS: Final["Mapping[message_pb2.ResponseFormatType.ValueType, AnswerForm]"] = {
    message_pb2.RESPONSE_FORMAT_TYPE_UNSPECIFIED: AnswerForm.TEXT,
    message_pb2.RESPONSE_FORMAT_TYPE_TEXT: AnswerForm.TEXT,
    message_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT: AnswerForm.JSON_OBJECT,
    message_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA: AnswerForm.JSON_SCHEMA,
}
MID_STREAM_POLICIES: Final[
    "Mapping[attempt_pb2.MidStreamPolicy.ValueType, MidStreamPolicy | None]"
] = {
    attempt_pb2.MID_STREAM_POLICY_UNSPECIFIED: None,
    attempt_pb2.MID_STREAM_POLICY_CONTINUE: MidStreamPolicy.CONTINUE,
    attempt_pb2.MID_STREAM_POLICY_RESTART: MidStreamPolicy.RESTART,
    attempt_pb2.MID_STREAM_POLICY_FAIL: MidStreamPolicy.FAIL,
}
REQUEST_KINDS: Final["Mapping[attempt_pb2.AttemptKind.ValueType, AttemptKind]"] = {
    attempt_pb2.ATTEMPT_KIND_UNSPECIFIED: AttemptKind.PRIMARY,
    attempt_pb2.ATTEMPT_KIND_PRIMARY: AttemptKind.PRIMARY,
    attempt_pb2.ATTEMPT_KIND_REPAIR: AttemptKind.REPAIR,
    attempt_pb2.ATTEMPT_KIND_SHADOW: AttemptKind.SHADOW,
}
"""What a caller may ask for; the other kinds are the router's own."""

ATTEMPT_KINDS: Final["Mapping[AttemptKind, attempt_pb2.AttemptKind.ValueType]"] = {
    AttemptKind.PRIMARY: attempt_pb2.ATTEMPT_KIND_PRIMARY,
    AttemptKind.RETRY: attempt_pb2.ATTEMPT_KIND_RETRY,
    AttemptKind.FALLBACK: attempt_pb2.ATTEMPT_KIND_FALLBACK,
    AttemptKind.HEDGE: attempt_pb2.ATTEMPT_KIND_HEDGE,
    AttemptKind.CONTINUATION: attempt_pb2.ATTEMPT_KIND_CONTINUATION,
    AttemptKind.REPAIR: attempt_pb2.ATTEMPT_KIND_REPAIR,
    AttemptKind.SHADOW: attempt_pb2.ATTEMPT_KIND_SHADOW,
}
OUTCOMES: Final["Mapping[AttemptOutcome, attempt_pb2.AttemptOutcome.ValueType]"] = {
    AttemptOutcome.SUCCEEDED: attempt_pb2.ATTEMPT_OUTCOME_SUCCEEDED,
    AttemptOutcome.FAILED: attempt_pb2.ATTEMPT_OUTCOME_FAILED,
    AttemptOutcome.CUT: attempt_pb2.ATTEMPT_OUTCOME_CUT,
    AttemptOutcome.CANCELLED: attempt_pb2.ATTEMPT_OUTCOME_CANCELLED,
}
FINISH_REASONS: Final["Mapping[FinishReason, answer_pb2.FinishReason.ValueType]"] = {
    FinishReason.STOP: answer_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: answer_pb2.FINISH_REASON_LENGTH,
    FinishReason.TOOL_CALL: answer_pb2.FINISH_REASON_TOOL_CALL,
    FinishReason.CONTENT_FILTER: answer_pb2.FINISH_REASON_CONTENT_FILTER,
    FinishReason.REFUSAL: answer_pb2.FINISH_REASON_REFUSAL,
}


def request_of(message: pb.GenerateRequest) -> GenerationRequest:
    """Return *message* as the domain has it. Raises InvalidArgument that names each field."""
    wrong = list(_violations(message))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return GenerationRequest(
        request_id=message.request_id,
        subject=Subject(
            tenant_id=message.subject.tenant_id,
            team_id=message.subject.team_id,
            user_id=message.subject.user_id,
            key_id=message.subject.key_id,
        ),
        model=message.model,
        system_text=message.system_text,
        messages=tuple(map(_message_of, message.messages)),
        sampling=_sampling_of(message.parameters),
        form=FORMS[message.response_format.type],
        json_schema=message.response_format.json_schema,
        tools=tuple(
            Tool(
                name=tool.name,
                description=tool.description,
                parameters_json_schema=tool.parameters_json_schema,
            )
            for tool in message.tools
        ),
        tool_choice=TOOL_CHOICES[message.tool_choice.mode],
        tool_choice_name=message.tool_choice.tool_name,
        mid_stream_policy=MID_STREAM_POLICIES[message.mid_stream_policy],
        kind=REQUEST_KINDS[message.kind],
        first_attempt_number=message.first_attempt_number or 1,
        top_logprob_count=(
            message.top_logprob_count if message.HasField("top_logprob_count") else None
        ),
    )


def response_of(event: RouterEvent) -> pb.GenerateResponse:
    """Return *event* as it goes to the caller."""
    match event:
        case TextDelta(text=text):
            return pb.GenerateResponse(text=text)
        case ReasoningDelta(text=text):
            return pb.GenerateResponse(reasoning=text)
        case ToolCallDone(call=call):
            return pb.GenerateResponse(
                tool_call=message_pb2.ToolCall(
                    id=call.id, name=call.name, arguments_json=call.arguments_json
                )
            )
        case Logprobs():
            return pb.GenerateResponse(logprobs=_logprobs_message(event))
        case AttemptEnded(attempt=attempt):
            return pb.GenerateResponse(attempt=attempt_message(attempt))
        case RouteChosen():
            return pb.GenerateResponse(
                route=pb.GenerateResponse.RouteChosen(
                    provider=event.provider,
                    model=event.model,
                    reason=pb.RouteReason.ValueType(event.reason),
                    attempt_number=event.attempt_number,
                )
            )
        case Switched():
            return pb.GenerateResponse(
                switched=pb.GenerateResponse.Switched(
                    from_model=event.from_model,
                    to_model=event.to_model,
                    to_provider=event.to_provider,
                    reason=event.reason,
                    restarts=event.restarts,
                    attempt_number=event.attempt_number,
                )
            )
        case Completed():
            return pb.GenerateResponse(
                completed=pb.GenerateResponse.Completed(
                    finish_reason=FINISH_REASONS[event.finish_reason],
                    provider=event.provider,
                    model=event.model,
                    usage=to_proto.usage(event.usage),
                    cost_nano_usd=event.cost_nano_usd,
                )
            )
        case _:
            assert_never(event)


def attempt_message(attempt: Attempt) -> attempt_pb2.Attempt:
    """Return *attempt* as it goes to the caller."""
    message = attempt_pb2.Attempt(
        number=attempt.number,
        provider=attempt.provider,
        model=attempt.model,
        kind=ATTEMPT_KINDS[attempt.kind],
        outcome=OUTCOMES[attempt.outcome],
        error_kind=attempt.error_kind,
        usage=to_proto.usage(attempt.usage),
        cost_nano_usd=attempt.cost_nano_usd,
        price_version=attempt.price_version,
        duration=to_proto.duration(attempt.duration_seconds),
        provider_request_id=attempt.provider_request_id,
    )
    if attempt.first_token_seconds is not None:
        message.first_token_latency.CopyFrom(to_proto.duration(attempt.first_token_seconds))
    return message


def _logprobs_message(logprobs: Logprobs) -> pb.GenerateResponse.Logprobs:
    return pb.GenerateResponse.Logprobs(
        tokens=[
            pb.TokenLogprob(
                token=each.token,
                logprob=each.logprob,
                top=[
                    pb.TokenLogprob.Alternative(token=other.token, logprob=other.logprob)
                    for other in each.top
                ],
            )
            for each in logprobs.tokens
        ]
    )


def _message_of(message: message_pb2.Message) -> Message:
    return Message(
        role=ROLES[message.role],
        text=message.text,
        image_urls=tuple(image.url for image in message.images),
        tool_calls=tuple(
            ToolCall(id=call.id, name=call.name, arguments_json=call.arguments_json)
            for call in message.tool_calls
        ),
        tool_call_id=message.tool_call_id,
    )


def _sampling_of(given: message_pb2.SamplingParameters) -> Sampling:
    return Sampling(
        temperature=given.temperature if given.HasField("temperature") else None,
        top_p=given.top_p if given.HasField("top_p") else None,
        max_output_token_count=(
            given.max_output_token_count if given.HasField("max_output_token_count") else None
        ),
        stop_sequences=tuple(given.stop_sequences),
        seed=given.seed if given.HasField("seed") else None,
    )


def _violations(message: pb.GenerateRequest) -> Iterable[FieldViolation]:
    yield from _violations_of_messages(message.messages)
    if message.kind not in REQUEST_KINDS:
        yield _wrong("kind", "must be PRIMARY, REPAIR or SHADOW.")
    if message.mid_stream_policy not in MID_STREAM_POLICIES:
        yield _wrong("mid_stream_policy", "must be a known policy.")
    if message.first_attempt_number < 0:
        yield _wrong("first_attempt_number", "must be 0 or more.")
    if not 0 <= message.top_logprob_count <= MAX_TOP_LOGPROBS:
        yield _wrong("top_logprob_count", f"must be from 0 to {MAX_TOP_LOGPROBS}.")
    yield from _violations_of_sampling(message.parameters)
    yield from _violations_of_form(message)
    yield from _violations_of_tools(message)


def _violations_of_messages(messages: Sequence[message_pb2.Message]) -> Iterable[FieldViolation]:
    if not messages:
        yield _wrong("messages", "must hold at least one message.")
    for index, each in enumerate(messages):
        where = f"messages[{index}]"
        if each.role not in ROLES:
            yield _wrong(f"{where}.role", "must be a known role.")
        for number, image in enumerate(each.images):
            if not image.url.startswith(("https://", "data:")):
                yield _wrong(f"{where}.images[{number}].url", "must be an https or data URL.")
        for number, call in enumerate(each.tool_calls):
            if not _is_json(call.arguments_json or "{}"):
                yield _wrong(f"{where}.tool_calls[{number}].arguments_json", "must be JSON.")


def _violations_of_sampling(given: message_pb2.SamplingParameters) -> Iterable[FieldViolation]:
    if not 0 <= given.temperature <= 2:
        yield _wrong("parameters.temperature", "must be from 0 to 2.")
    if given.HasField("top_p") and not 0 < given.top_p <= 1:
        yield _wrong("parameters.top_p", "must be above 0 and up to 1.")
    if given.HasField("max_output_token_count") and given.max_output_token_count < 1:
        yield _wrong("parameters.max_output_token_count", "must be at least 1.")
    if len(given.stop_sequences) > MAX_STOP_SEQUENCES or not all(given.stop_sequences):
        yield _wrong("parameters.stop_sequences", "must be up to 4 texts, none empty.")


def _violations_of_form(message: pb.GenerateRequest) -> Iterable[FieldViolation]:
    form = FORMS.get(message.response_format.type)
    if form is None:
        yield _wrong("response_format.type", "must be a known form.")
    elif form is AnswerForm.JSON_SCHEMA and not _is_object(message.response_format.json_schema):
        yield _wrong("response_format.json_schema", "must be a JSON Schema, as a JSON object.")


def _violations_of_tools(message: pb.GenerateRequest) -> Iterable[FieldViolation]:
    names = [tool.name for tool in message.tools]
    for index, tool in enumerate(message.tools):
        if not tool.name:
            yield _wrong(f"tools[{index}].name", "must not be empty.")
        if tool.parameters_json_schema and not _is_object(tool.parameters_json_schema):
            yield _wrong(f"tools[{index}].parameters_json_schema", "must be a JSON object.")
    choice = TOOL_CHOICES.get(message.tool_choice.mode)
    if choice is None:
        yield _wrong("tool_choice.mode", "must be a known mode.")
    elif choice is ToolChoiceMode.NAMED and message.tool_choice.tool_name not in names:
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
