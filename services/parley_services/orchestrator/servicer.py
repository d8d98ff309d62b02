"""The gRPC face of the orchestrator: converts messages, decides nothing."""

import uuid
from contextlib import aclosing
from typing import Any, assert_never

import grpc
from parley.chat.v1 import answer_pb2, budget_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from parley_services.kit.chat import from_proto, to_proto
from parley_services.kit.chat.attempt import MidStreamPolicy
from parley_services.kit.rpc.bearer import bearer
from parley_services.orchestrator.admission.request import (
    DEFAULT_TEMPLATE,
    ByArm,
    ByLabel,
    ByVersion,
    CacheMode,
    TemplateSelector,
    TurnRequest,
)
from parley_services.orchestrator.events import (
    Completed,
    Degraded,
    Delta,
    Event,
    Intervened,
    Started,
    Switched,
    ToolCalled,
)
from parley_services.orchestrator.finish.rating import Rating
from parley_services.orchestrator.turn_service import TurnService


class OrchestratorServicer(pb_grpc.OrchestratorServiceServicer):
    """`parley.orchestrator.v1.OrchestratorService`. Jobs are not implemented."""

    def __init__(self, turns: TurnService) -> None:
        self._turns = turns

    async def Chat(  # type: ignore[override]
        self, request: pb.ChatRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        turn = self._turns.new(
            _turn_request(request),
            secret=bearer(context.invocation_metadata()) or "",
            deadline_seconds=context.time_remaining(),
        )
        async with aclosing(turn.events()) as events:
            async for event in events:
                await context.write(_response(event))

    async def RateTurn(
        self, request: pb.RateTurnRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.RateTurnResponse:
        rated = request.WhichOneof("rating")
        await self._turns.rate(
            Rating(
                request_id=request.request_id,
                thumbs_up=request.thumbs_up if rated == "thumbs_up" else None,
                stars=request.stars if rated == "stars" else None,
                comment=request.comment,
            ),
            secret=bearer(context.invocation_metadata()) or "",
            deadline_seconds=context.time_remaining(),
        )
        return pb.RateTurnResponse()


def _turn_request(message: pb.ChatRequest) -> TurnRequest:
    return TurnRequest(
        request_id=message.request_id or str(uuid.uuid4()),
        text=message.text,
        history=tuple(from_proto.message(each) for each in message.history),
        user_id=message.user_id,
        conversation_id=message.conversation_id,
        template=message.template or DEFAULT_TEMPLATE,
        selector=_selector(message),
        variables=dict(message.variables),
        model=message.model,
        parameters=from_proto.sampling_parameters(message.parameters),
        response_format=from_proto.response_format(message.response_format),
        tools=tuple(from_proto.tool(each) for each in message.tools),
        tool_choice=from_proto.tool_choice(message.tool_choice),
        cache_mode=CacheMode(message.cache_mode),
        mid_stream_policy=MidStreamPolicy(message.mid_stream_policy),
        tags=dict(message.tags),
        context_documents=tuple(message.context_documents),
    )


def _selector(message: pb.ChatRequest) -> TemplateSelector:
    match message.WhichOneof("template_selector"):
        case "template_label":
            return ByLabel(label=message.template_label)
        case "template_version":
            return ByVersion(version=message.template_version)
        case "template_arm":
            return ByArm(arm=message.template_arm)
        case _:
            return None


def _response(event: Event) -> pb.ChatResponse:
    match event:
        case Delta(text=text):
            return pb.ChatResponse(delta=pb.ChatResponse.Delta(text=text))
        case Started():
            return pb.ChatResponse(
                started=pb.ChatResponse.Started(
                    request_id=event.request_id,
                    template=event.template,
                    template_version=event.template_version,
                    arm=event.arm,
                )
            )
        case ToolCalled(call=call):
            return pb.ChatResponse(
                tool_call=pb.ChatResponse.ToolCalled(call=to_proto.tool_call(call))
            )
        case Intervened(finding=finding):
            return pb.ChatResponse(
                intervention=pb.ChatResponse.Intervention(finding=to_proto.finding(finding))
            )
        case Switched():
            return pb.ChatResponse(
                switched=pb.ChatResponse.Switched(
                    from_model=event.from_model,
                    to_model=event.to_model,
                    reason=event.reason,
                    restarts=event.restarts,
                )
            )
        case Degraded():
            return pb.ChatResponse(degraded=_degraded(event))
        case Completed():
            return pb.ChatResponse(completed=_completed(event))
        case _:
            assert_never(event)


def _degraded(event: Degraded) -> pb.ChatResponse.Degraded:
    return pb.ChatResponse.Degraded(component=event.component, effect=event.effect)


def _completed(event: Completed) -> pb.ChatResponse.Completed:
    age, first = event.cache_age_seconds, event.first_delta_seconds
    return pb.ChatResponse.Completed(
        request_id=event.request_id,
        finish_reason=answer_pb2.FinishReason.ValueType(event.finish_reason),
        usage=to_proto.usage(event.usage),
        cost_nano_usd=event.cost_nano_usd,
        saved_cost_nano_usd=event.saved_cost_nano_usd,
        source=answer_pb2.AnswerSource.ValueType(event.source),
        provider=event.provider,
        model=event.model,
        template=event.template,
        template_version=event.template_version,
        arm=event.arm,
        cache_similarity=event.cache_similarity,
        cache_age=None if age is None else to_proto.duration(age),
        findings=[to_proto.finding(finding) for finding in event.findings],
        degradations=[_degraded(degraded) for degraded in event.degradations],
        timings=[
            pb.StageTiming(
                stage=pb.TurnStage.ValueType(timing.stage),
                duration=to_proto.duration(timing.seconds),
            )
            for timing in event.timings
        ],
        first_delta_latency=None if first is None else to_proto.duration(first),
        attempt_count=event.attempt_count,
        budget_decision=budget_pb2.BudgetDecision.ValueType(event.budget_decision),
        format_outcome=pb.FormatOutcome.ValueType(event.format_outcome),
        cache_entry_id=event.cache_entry_id,
    )
