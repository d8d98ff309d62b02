"""Redacts texts by the guardrails service, in process or not."""

import grpc
from parley.guardrails.v1 import guardrails_service_pb2 as pb
from parley.guardrails.v1 import guardrails_service_pb2_grpc as pb_grpc

from parley_services.kit.errors import DependencyUnavailable
from parley_services.kit.rpc.status import service_error_of
from parley_services.prompt_registry.outcomes.outcome import TurnTexts

_TIMEOUT_SECONDS = 2.0
_PEER = "guardrails"


class GuardrailsRedactor:
    """
    A `Redactor` that asks the guardrails, under the tenant's own policy.

    Both texts are judged as earlier messages of a conversation are: what the policy redacts
    is replaced, and a turn that it would block is not kept.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.GuardrailsServiceAsyncStub = pb_grpc.GuardrailsServiceStub(channel)

    async def redact(
        self, texts: TurnTexts, *, request_id: str, tenant_id: str, template: str
    ) -> TurnTexts | None:
        request = pb.CheckInputRequest(
            request_id=request_id,
            tenant_id=tenant_id,
            template=template,
            texts=[
                pb.InputText(source=pb.INPUT_SOURCE_HISTORY_USER, text=texts.input_text),
                pb.InputText(source=pb.INPUT_SOURCE_HISTORY_ASSISTANT, text=texts.output_text),
            ],
        )
        try:
            response = await self._stub.CheckInput(request, timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise service_error_of(error) or _away() from None
        if response.verdict == pb.VERDICT_BLOCK:
            return None
        if len(response.texts) != len(request.texts):
            raise _away()
        redacted_input, redacted_output = (each.text for each in response.texts)
        return TurnTexts(input_text=redacted_input, output_text=redacted_output)


def _away() -> DependencyUnavailable:
    return DependencyUnavailable(
        "The guardrails cannot be asked now: texts of this turn are not kept.",
        metadata={"dependency": _PEER},
    )
