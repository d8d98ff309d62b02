"""The client's end of the in-process transport."""

import asyncio
from types import TracebackType
from typing import Any, Self

import grpc
from grpc.aio import Metadata, UsageError

from parley_services.kit.rpc.in_process.call import (
    Requests,
    StreamStreamCall,
    StreamUnaryCall,
    UnaryStreamCall,
    UnaryUnaryCall,
)
from parley_services.kit.rpc.in_process.metadata import on_the_wire
from parley_services.kit.rpc.in_process.rpc import Rpc
from parley_services.kit.rpc.in_process.server import InProcessServer


class InProcessChannel(grpc.aio.Channel):
    """
    A `grpc.aio.Channel` to the handlers of *server*, for generated stubs.

    Methods are looked up when they are called, so a channel may be made, and stubs upon
    it, before the server has handlers.
    """

    def __init__(self, server: InProcessServer) -> None:
        self._server = server
        self.closed = False

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> "_UnaryUnary":
        return _UnaryUnary(self, method)

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> "_UnaryStream":
        return _UnaryStream(self, method)

    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> "_StreamUnary":
        return _StreamUnary(self, method)

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> "_StreamStream":
        return _StreamStream(self, method)

    def start_unary(
        self,
        method: str,
        request: object,
        timeout: float | None,
        metadata: Any,
        wait_for_ready: bool | None,
    ) -> UnaryUnaryCall:
        """
        Start a call of *method* with one request and one response.

        It begins in the next step of the event loop, in a task of its own. Whoever awaits it
        before serves it himself, and no task is made.
        """
        if self.closed:
            raise UsageError("Channel is closed.")
        rpc = Rpc(
            asyncio.get_running_loop(),
            self,
            method,
            request,
            False,
            False,
            timeout,
            on_the_wire(metadata) if metadata else (),
        )
        self._server.accept_soon(rpc, wait_for_ready=bool(wait_for_ready))
        return UnaryUnaryCall(rpc, self._server)

    def start(
        self,
        method: str,
        *,
        request: object,
        request_streaming: bool,
        response_streaming: bool,
        timeout: float | None,
        metadata: Any,
        wait_for_ready: bool | None,
    ) -> Rpc:
        """Start a call of *method*, which ends by itself after *timeout* seconds."""
        if self.closed:
            raise UsageError("Channel is closed.")
        rpc = Rpc(
            asyncio.get_running_loop(),
            self,
            method,
            request,
            request_streaming,
            response_streaming,
            timeout,
            on_the_wire(metadata) if metadata else (),
        )
        self._server.accept(rpc, wait_for_ready=bool(wait_for_ready))
        return rpc

    async def close(self, grace: float | None = None) -> None:
        """Refuse new calls and, after at most *grace* seconds, cancel those in flight."""
        if self.closed:
            return
        self.closed = True
        if grace:
            await self._server.wait_for_calls_of(self, timeout_seconds=grace)
        self._server.cancel_calls_of(self)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        if self.closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        if self._server.is_running:
            return grpc.ChannelConnectivity.READY
        return grpc.ChannelConnectivity.IDLE

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        while self.get_state() is last_observed_state:
            await self._server.wait_for_state_change()

    async def channel_ready(self) -> None:
        await self._server.wait_until_started()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


class _Method:
    __slots__ = ("_channel", "_method")

    def __init__(self, channel: InProcessChannel, method: str) -> None:
        self._channel = channel
        self._method = method


class _UnaryUnary(_Method, grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Metadata | Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryUnaryCall:
        return self._channel.start_unary(self._method, request, timeout, metadata, wait_for_ready)


class _UnaryStream(_Method, grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Metadata | Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryStreamCall:
        return UnaryStreamCall(
            self._channel.start(
                self._method,
                request=request,
                request_streaming=False,
                response_streaming=True,
                timeout=timeout,
                metadata=metadata,
                wait_for_ready=wait_for_ready,
            )
        )


class _StreamUnary(_Method, grpc.aio.StreamUnaryMultiCallable[Any, Any]):
    def __call__(
        self,
        request_iterator: Requests | None = None,
        timeout: float | None = None,
        metadata: Metadata | Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamUnaryCall:
        rpc = self._channel.start(
            self._method,
            request=None,
            request_streaming=True,
            response_streaming=False,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return StreamUnaryCall(rpc, request_iterator)


class _StreamStream(_Method, grpc.aio.StreamStreamMultiCallable[Any, Any]):
    def __call__(
        self,
        request_iterator: Requests | None = None,
        timeout: float | None = None,
        metadata: Metadata | Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamStreamCall:
        rpc = self._channel.start(
            self._method,
            request=None,
            request_streaming=True,
            response_streaming=True,
            timeout=timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )
        return StreamStreamCall(rpc, request_iterator)
