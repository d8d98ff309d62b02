"""The prompt registry over gRPC, in process or not."""

import grpc
from parley.chat.v1 import answer_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc

from parley_services.kit.chat import from_proto, to_proto
from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.chat.message import ResponseFormatType
from parley_services.orchestrator.admission.request import ByArm, ByLabel, ByVersion
from parley_services.orchestrator.peers.calling import calling
from parley_services.orchestrator.values.prompts import Prompt, PromptRequest, ShadowArm
from parley_services.orchestrator.values.records import Outcome, ShadowOutcome

PEER = "prompt_registry"


class GrpcPrompts:
    """`Prompts` by the prompt registry service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.PromptRegistryServiceAsyncStub = pb_grpc.PromptRegistryServiceStub(
            channel
        )

    async def render(self, request: PromptRequest, *, timeout_seconds: float) -> Prompt:
        with calling(PEER):
            response = await self._stub.Render(render_to_proto(request), timeout=timeout_seconds)
        return prompt_from_proto(response)

    async def rate(
        self,
        *,
        request_id: str,
        tenant_id: str,
        stars: int,
        comment: str,
        timeout_seconds: float,
    ) -> None:
        with calling(PEER):
            await self._stub.RecordRating(
                pb.RecordRatingRequest(
                    request_id=request_id, tenant_id=tenant_id, stars=stars, comment=comment
                ),
                timeout=timeout_seconds,
            )


def prompt_from_proto(response: pb.RenderResponse) -> Prompt:
    """Return a rendered prompt of the registry as a turn sees it."""
    return Prompt(
        template=response.template,
        version=response.version,
        experiment_id=response.experiment_id,
        arm=response.arm,
        system_text=response.system_text,
        user_text=response.user_text,
        model=response.model,
        parameters=from_proto.sampling_parameters(response.parameters),
        response_format=from_proto.response_format(response.response_format),
        cache_scope=CacheScope(response.cache_scope),
        shadow_arms=tuple(_shadow_arm_from_proto(arm) for arm in response.shadow_arms),
        retains_texts=response.retains_texts,
        extra_cacheable=frozenset(map(ExtraCacheable, response.extra_cacheable)),
    )


def _shadow_arm_from_proto(message: pb.RenderResponse.ShadowArm) -> ShadowArm:
    return ShadowArm(
        experiment_id=message.experiment_id,
        arm=message.arm,
        version=message.version,
        system_text=message.system_text,
        user_text=message.user_text,
        model=message.model,
        parameters=from_proto.sampling_parameters(message.parameters),
        response_format=from_proto.response_format(message.response_format),
    )


def outcome_to_proto(report: Outcome) -> pb.ReportOutcomeRequest:
    """Return *report* as it is sent, now or after a crash."""
    texts = report.texts
    return pb.ReportOutcomeRequest(
        outcome=_outcome_to_proto(report),
        texts=None
        if texts is None
        else pb.TurnTexts(input_text=texts.input_text, output_text=texts.output_text),
    )


def shadow_outcome_to_proto(report: ShadowOutcome) -> pb.ReportShadowRequest:
    """Return *report* as it is sent, now or after a crash."""
    answer = report.answer
    message = pb.ReportShadowRequest(
        outcome=_outcome_to_proto(report.outcome),
        output_text=report.output_text,
        answer=pb.ReportShadowRequest.Answer(
            version=answer.template_version,
            text=report.answer_text,
            latency=to_proto.duration(answer.latency_seconds),
            cost_nano_usd=answer.cost_nano_usd,
        ),
        input_text=report.input_text,
    )
    message.outcome.shadow = True
    if report.response_format.type is not ResponseFormatType.UNSPECIFIED:
        message.response_format.CopyFrom(to_proto.response_format(report.response_format))
    return message


def _outcome_to_proto(outcome: Outcome) -> pb.Outcome:
    first = outcome.first_delta_seconds
    return pb.Outcome(
        request_id=outcome.request_id,
        tenant_id=outcome.subject.tenant_id,
        user_id=outcome.subject.user_id,
        template=outcome.template,
        version=outcome.template_version,
        experiment_id=outcome.experiment_id,
        arm=outcome.arm,
        model=outcome.model,
        finish_reason=answer_pb2.FinishReason.ValueType(outcome.finish_reason),
        error_reason=outcome.error_reason,
        guardrail_blocked=outcome.guardrail_blocked,
        format_failed=outcome.format_failed,
        source=answer_pb2.AnswerSource.ValueType(outcome.source),
        usage=to_proto.usage(outcome.usage),
        cost_nano_usd=outcome.cost_nano_usd,
        latency=to_proto.duration(outcome.latency_seconds),
        first_delta_latency=None if first is None else to_proto.duration(first),
        end_time=to_proto.timestamp(outcome.end_time),
    )


def render_to_proto(request: PromptRequest) -> pb.RenderRequest:
    """Return *request* as it is sent."""
    message = pb.RenderRequest(
        request_id=request.request_id,
        template=request.template,
        keys=pb.AssignmentKeys(
            tenant_id=request.tenant_id,
            user_id=request.user_id,
            conversation_id=request.conversation_id,
        ),
        variables=request.variables,
    )
    match request.selector:
        case ByLabel(label=label):
            message.label = label
        case ByVersion(version=version):
            message.version = version
        case ByArm(arm=arm):
            message.arm = arm
        case None:
            pass
    return message
