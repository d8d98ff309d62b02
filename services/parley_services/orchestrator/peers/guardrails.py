"""The guardrails over gRPC, in process or not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import grpc
from parley.guardrails.v1 import guardrails_service_pb2 as pb
from parley.guardrails.v1 import guardrails_service_pb2_grpc as pb_grpc

from parley_services.kit.chat import from_proto, to_proto
from parley_services.kit.chat.finding import Placeholder
from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.peers.calling import calling
from parley_services.orchestrator.ports import OutputScan
from parley_services.orchestrator.values.guardrails import (
    InputText,
    InputVerdict,
    Intervention,
    OutputContext,
    Released,
    ScanEnded,
    ScanResult,
)

PEER = "guardrails"

_END = pb.ScanOutputRequest(end=pb.ScanOutputRequest.End())


class GrpcGuardrails:
    """`Guardrails` by the guardrails service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.GuardrailsServiceAsyncStub = pb_grpc.GuardrailsServiceStub(channel)

    async def check_input(
        self,
        texts: Sequence[InputText],
        *,
        request_id: str,
        tenant_id: str,
        template: str,
        timeout_seconds: float,
    ) -> InputVerdict:
        with calling(PEER):
            response = await self._stub.CheckInput(
                pb.CheckInputRequest(
                    request_id=request_id,
                    tenant_id=tenant_id,
                    template=template,
                    texts=[
                        pb.InputText(source=pb.InputSource.ValueType(each.source), text=each.text)
                        for each in texts
                    ],
                ),
                timeout=timeout_seconds,
            )
        if len(response.texts) != len(texts):
            raise DependencyUnavailable(
                "The guardrails left a text out of their answer: try again later.",
                metadata={"dependency": PEER},
            )
        return InputVerdict(
            texts=tuple(each.text for each in response.texts),
            findings=tuple(
                from_proto.finding(finding) for each in response.texts for finding in each.findings
            ),
            placeholders=tuple(
                Placeholder(placeholder=each.placeholder, original=each.original)
                for each in response.placeholders
            ),
            blocking=(
                from_proto.finding(response.blocking_finding)
                if response.verdict == pb.VERDICT_BLOCK
                else None
            ),
        )

    @asynccontextmanager
    async def scan_output(
        self, context: OutputContext, *, timeout_seconds: float
    ) -> AsyncIterator[OutputScan]:
        call = self._stub.ScanOutput(timeout=timeout_seconds)
        scan = _Scan(call, pb.ScanOutputRequest(start=_context_to_proto(context)))
        try:
            yield scan
        finally:
            call.cancel()


class _Scan:
    """One call of ScanOutput. A call that broke shows in `results`, never in `send`."""

    def __init__(
        self,
        call: grpc.aio.StreamStreamCall[pb.ScanOutputRequest, pb.ScanOutputResponse],
        start: pb.ScanOutputRequest,
    ) -> None:
        self._call = call
        self._start: pb.ScanOutputRequest | None = start

    async def send(self, text: str) -> None:
        await self._write(pb.ScanOutputRequest(text=text))

    async def end(self) -> None:
        await self._write(_END)
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()

    async def results(self) -> AsyncIterator[ScanResult]:
        ended = False
        with calling(PEER):
            async for response in self._call:
                ended = response.HasField("completed")
                yield _result(response)
        if not ended:
            raise DependencyUnavailable(
                "The guardrails ended a scan without a verdict: try again later.",
                metadata={"dependency": PEER},
            )

    async def _write(self, request: pb.ScanOutputRequest) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            if self._start is not None:
                start, self._start = self._start, None
                await self._call.write(start)
            await self._call.write(request)


def _result(response: pb.ScanOutputResponse) -> ScanResult:
    match response.WhichOneof("result"):
        case "released":
            return Released(response.released)
        case "intervention":
            return Intervention(from_proto.finding(response.intervention))
        case _:
            completed = response.completed
            return ScanEnded(
                blocked=completed.verdict == pb.VERDICT_BLOCK,
                cacheable_text=completed.cacheable_text,
                format_error=completed.format_error,
                findings=tuple(from_proto.finding(finding) for finding in completed.findings),
            )


def _context_to_proto(context: OutputContext) -> pb.OutputContext:
    return pb.OutputContext(
        request_id=context.request_id,
        tenant_id=context.tenant_id,
        template=context.template,
        system_text=context.system_text,
        placeholders=[
            pb.Placeholder(placeholder=each.placeholder, original=each.original)
            for each in context.placeholders
        ],
        response_format=to_proto.response_format(context.response_format),
        user_texts=context.user_texts,
    )
