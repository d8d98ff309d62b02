"""The model router over gRPC, in process or not."""

from collections.abc import AsyncGenerator

import grpc
from parley.chat.v1 import attempt_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc

from parley_services.kit.chat import from_proto, to_proto
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import Attempt
from parley_services.orchestrator.peers.calling import failure
from parley_services.orchestrator.values.router import (
    AnswerEnded,
    AttemptEnded,
    AttemptsLost,
    ModelCall,
    Reasoning,
    RouteChosen,
    RouterEvent,
    RouteSwitched,
    Text,
    ToolCallMade,
)

PEER = "model_router"
ATTEMPTS_KEY = "x-parley-attempts-bin"


class GrpcRouter:
    """`Router` by the model router service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.ModelRouterServiceAsyncStub = pb_grpc.ModelRouterServiceStub(channel)

    async def generate(
        self, call: ModelCall, *, timeout_seconds: float
    ) -> AsyncGenerator[RouterEvent, None]:
        rpc = self._stub.Generate(_request(call), timeout=timeout_seconds)
        try:
            async for response in rpc:
                event = _event(response)
                if event is not None:
                    yield event
        except grpc.aio.AioRpcError as error:
            raise failure(error, PEER) from AttemptsLost(_attempts_from_metadata(error))
        finally:
            rpc.cancel()


def _request(call: ModelCall) -> pb.GenerateRequest:
    return pb.GenerateRequest(
        request_id=call.request_id,
        subject=to_proto.subject(call.subject),
        model=call.model,
        system_text=call.system_text,
        messages=[to_proto.message(message) for message in call.messages],
        parameters=to_proto.sampling_parameters(call.parameters),
        response_format=to_proto.response_format(call.response_format),
        tools=[to_proto.tool(tool) for tool in call.tools],
        tool_choice=to_proto.tool_choice(call.tool_choice),
        mid_stream_policy=attempt_pb2.MidStreamPolicy.ValueType(call.mid_stream_policy),
        kind=attempt_pb2.AttemptKind.ValueType(call.kind),
        first_attempt_number=call.first_attempt_number,
    )


def _event(response: pb.GenerateResponse) -> RouterEvent | None:
    """Return the event, or None for one that a turn has no use for."""
    match response.WhichOneof("event"):
        case "text":
            return Text(response.text)
        case "reasoning":
            return Reasoning(response.reasoning)
        case "tool_call":
            return ToolCallMade(from_proto.tool_call(response.tool_call))
        case "route":
            route = response.route
            return RouteChosen(
                provider=route.provider,
                model=route.model,
                attempt_number=route.attempt_number,
                is_hedge=route.reason == pb.ROUTE_REASON_HEDGE,
            )
        case "attempt":
            return AttemptEnded(from_proto.attempt(response.attempt))
        case "switched":
            switched = response.switched
            return RouteSwitched(
                from_model=switched.from_model,
                to_model=switched.to_model,
                to_provider=switched.to_provider,
                reason=switched.reason,
                restarts=switched.restarts,
                attempt_number=switched.attempt_number,
            )
        case "completed":
            completed = response.completed
            return AnswerEnded(
                finish_reason=FinishReason(completed.finish_reason),
                provider=completed.provider,
                model=completed.model,
            )
        case _:
            return None


def _attempts_from_metadata(error: grpc.aio.AioRpcError) -> tuple[Attempt, ...]:
    """Return the attempts that came in the trailing metadata of a call that failed."""
    for key, value in error.trailing_metadata() or ():
        if key == ATTEMPTS_KEY and isinstance(value, bytes):
            return tuple(
                from_proto.attempt(each) for each in pb.AttemptList.FromString(value).attempts
            )
    return ()
