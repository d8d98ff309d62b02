"""The gRPC face of the guardrails: converts messages, decides nothing."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
from parley.guardrails.v1 import guardrails_service_pb2 as pb
from parley.guardrails.v1 import guardrails_service_pb2_grpc as pb_grpc

from parley_services.guardrails import from_proto, to_proto
from parley_services.guardrails.guardrails import Guardrails, OutputScan
from parley_services.kit.chat import from_proto as chat
from parley_services.kit.errors import InvalidArgument

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class GuardrailsServicer(pb_grpc.GuardrailsServiceServicer):
    """Serves `Guardrails`."""

    def __init__(self, guardrails: Guardrails) -> None:
        self._guardrails = guardrails

    async def CheckInput(
        self, request: pb.CheckInputRequest, context: Context
    ) -> pb.CheckInputResponse:
        report, audit = await self._guardrails.check_input(
            from_proto.input_texts(request), tenant_id=request.tenant_id, template=request.template
        )
        return to_proto.input_response(report, audit)

    async def CheckOutput(
        self, request: pb.CheckOutputRequest, context: Context
    ) -> pb.CheckOutputResponse:
        scan = await self._scan(request.context)
        steps = [*await scan.feed(request.text), *await scan.end()]
        return to_proto.output_response(steps, *await scan.report())

    # The stub knows only generators; grpc.aio takes a coroutine that writes just as well.
    async def ScanOutput(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.ScanOutputRequest], context: Context
    ) -> None:
        scan: OutputScan | None = None
        async for request in request_iterator:
            step = request.WhichOneof("step")
            if scan is None:
                if step != "start":
                    raise InvalidArgument.field("start", "must come first.")
                scan = await self._scan(request.start)
                continue
            match step:
                case "text":
                    steps = await scan.feed(request.text)
                case "tool_call":
                    steps = await scan.tool_call(chat.tool_call(request.tool_call))
                case "end":
                    steps = await scan.end()
                case _:
                    raise InvalidArgument.field(
                        "step", "must be text, tool_call or end after the start."
                    )
            for message in to_proto.scan_results(steps):
                await context.write(message)
            if step == "end" or scan.blocking_finding is not None:
                await context.write(to_proto.scan_completed(*await scan.report()))
                return
        raise InvalidArgument.field("end", "must come last; without it nothing is decided.")

    async def ListRules(
        self, request: pb.ListRulesRequest, context: Context
    ) -> pb.ListRulesResponse:
        policy = self._guardrails.policy(request.tenant_id, request.template)
        return pb.ListRulesResponse(
            policy=policy.name, rules=map(to_proto.rule, self._guardrails.rules(policy))
        )

    async def GetRuleStats(
        self, request: pb.GetRuleStatsRequest, context: Context
    ) -> pb.GetRuleStatsResponse:
        return pb.GetRuleStatsResponse(rules=map(to_proto.rule_counts, self._guardrails.stats()))

    async def _scan(self, message: pb.OutputContext) -> OutputScan:
        return await self._guardrails.scan_output(
            from_proto.output_context(message),
            tenant_id=message.tenant_id,
            template=message.template,
        )
