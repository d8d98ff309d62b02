"""The gRPC face of the router: converts messages, decides nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import grpc
import structlog
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc

from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.clock import Clock
from parley_services.kit.errors import InvalidArgument, ServiceError
from parley_services.kit.rpc.status import status_of
from parley_services.kit.rpc.stream_buffer import StreamBuffer
from parley_services.model_router import from_proto, to_proto
from parley_services.model_router.attempt.shadow import ShadowPool
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.router import Router
from parley_services.model_router.stream.events import RouterEvent
from parley_services.model_router.stream.routed_call import RoutedCall

log = structlog.get_logger()

ATTEMPTS_KEY: Final = "x-parley-attempts-bin"
"""Trailing metadata with the attempts that no event has reported, an `AttemptList`."""

MAX_ATTEMPTS_BYTES: Final = 3000
"""Trailers of over 8 KiB are dropped at random; the status details have the rest."""

PREVIOUS_RPC_ATTEMPTS_KEY: Final = "grpc-previous-rpc-attempts"
"""How often gRPC has sent a call before, set by its client when it retries
(https://github.com/grpc/proposal/blob/master/A6-client-retries.md)."""

NUMBERS_OF_A_CALL: Final = 10_000
"""More than the attempts of one call, and of what runs beside its turn, can reach."""

MAX_COUNTED_BYTES: Final = 1024 * 1024


class ModelRouterServicer(pb_grpc.ModelRouterServiceServicer):
    """Serves a `Router`."""

    def __init__(
        self,
        router: Router,
        *,
        shadows: ShadowPool,
        clock: Clock,
        default_deadline_seconds: float,
        deadline_margin_seconds: float,
    ) -> None:
        self._router = router
        self._shadows = shadows
        self._clock = clock
        self._default_deadline_seconds = default_deadline_seconds
        self._deadline_margin_seconds = deadline_margin_seconds

    # The stub knows only generators; grpc.aio takes a coroutine that writes just as well.
    async def Generate(  # type: ignore[override]
        self,
        request: pb.GenerateRequest,
        context: grpc.aio.ServicerContext[pb.GenerateRequest, pb.GenerateResponse],
    ) -> None:
        call = self._router.start(
            _numbered(from_proto.generation_request(request), context),
            timeout_seconds=self._timeout_seconds(context),
        )
        try:
            await self._send(call, context)
        except ServiceError as error:
            status = status_of(error)
            trailers = (*status.trailing_metadata, *_trailers(call.unreported))
            await context.abort(status.code, status.message, trailers)
        except asyncio.CancelledError:
            context.set_trailing_metadata(_trailers(call.unreported))
            raise

    async def ListModels(
        self,
        request: pb.ListModelsRequest,
        context: grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsResponse],
    ) -> pb.ListModelsResponse:
        return to_proto.model_list(
            self._router.listed(),
            self._router.health,
            self._router.key_health(),
            now=self._clock.now(),
        )

    async def CountTokens(
        self,
        request: pb.CountTokensRequest,
        context: grpc.aio.ServicerContext[pb.CountTokensRequest, pb.CountTokensResponse],
    ) -> pb.CountTokensResponse:
        if sum(len(text) for text in request.texts) > MAX_COUNTED_BYTES:
            raise InvalidArgument.field("texts", "must be up to 1 MiB in all.")
        counts = self._router.count_tokens(request.model, request.texts)
        return pb.CountTokensResponse(
            token_counts=[count.token_count for count in counts],
            estimated=any(count.estimated for count in counts),
        )

    def _timeout_seconds(self, context: grpc.aio.ServicerContext[Any, Any]) -> float:
        remaining = context.time_remaining()
        if remaining is None:
            return self._default_deadline_seconds
        # A twentieth at most: a short deadline must leave time to answer in.
        return remaining - min(self._deadline_margin_seconds, remaining / 20)

    async def _send(
        self,
        call: RoutedCall,
        context: grpc.aio.ServicerContext[pb.GenerateRequest, pb.GenerateResponse],
    ) -> None:
        if call.is_shadow:
            await self._send_shadow(call, context)
            return

        # Nothing waits here: while the caller takes no more, the provider is not read.
        async def emit(event: RouterEvent) -> None:
            await context.write(to_proto.response(event))

        await call.run(emit)

    async def _send_shadow(
        self,
        call: RoutedCall,
        context: grpc.aio.ServicerContext[pb.GenerateRequest, pb.GenerateResponse],
    ) -> None:
        """Send what *call* makes, which goes on for the experiment's sake if its caller leaves."""
        buffer: StreamBuffer[RouterEvent] = StreamBuffer()
        running = self._shadows.start(partial(run_shadow, call, buffer))
        reader = buffer.reader()
        try:
            while (event := await reader.next()) is not None:
                assert not isinstance(event, str)
                await context.write(to_proto.response(event))
            await running
        finally:
            buffer.abandon()


async def run_shadow(call: RoutedCall, buffer: StreamBuffer[RouterEvent]) -> None:
    """Put what *call* makes into *buffer*, and log what it cost if nobody takes it out."""

    async def emit(event: RouterEvent) -> None:
        buffer.put(event)

    try:
        await call.run(emit)
    finally:
        if buffer.is_abandoned:
            # Accounting hears of it from the attempt log only.
            log.warning(
                "shadow_call_unheard", request_id=call.request_id, cost_nano_usd=call.cost_nano_usd
            )
        buffer.close()


def _numbered(
    request: GenerationRequest, context: grpc.aio.ServicerContext[Any, Any]
) -> GenerationRequest:
    """
    Number the attempts apart if gRPC sends a call again.

    A router may have died after it had called a provider and before it could say so. Were the
    numbers the same, that attempt would be taken for one of these.
    """
    metadata = dict(context.invocation_metadata() or ())
    times = int(metadata.get(PREVIOUS_RPC_ATTEMPTS_KEY, 0))
    if not times:
        return request
    first = request.first_attempt_number + times * NUMBERS_OF_A_CALL
    return replace(request, first_attempt_number=first)


def _trailers(attempts: Sequence[Attempt]) -> tuple[tuple[str, bytes], ...]:
    if not attempts:
        return ()
    listed = to_proto.attempt_list(attempts)
    while listed.ByteSize() > MAX_ATTEMPTS_BYTES:
        del listed.attempts[0]
    return ((ATTEMPTS_KEY, listed.SerializeToString()),)
