"""What a client holds of an in-process RPC, one class for each kind of method."""

import asyncio
import functools
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from typing import Any

import grpc
import structlog
from grpc.aio import EOF, Metadata, UsageError

from parley_services.kit.rpc.in_process.pipe import Pipe
from parley_services.kit.rpc.in_process.rpc import CANCELLED_BY_COLLECTION, OK, Rpc, Status
from parley_services.kit.rpc.in_process.server import InProcessServer

log = structlog.get_logger()

Requests = AsyncIterable[Any] | Iterable[Any]

_MIXED_STYLES = "The iterator and read/write APIs may not be mixed on a single RPC."


class _Call(grpc.aio.Call):
    """What every kind of call can do."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def cancel(self) -> bool:
        return self._rpc.cancel()

    def cancelled(self) -> bool:
        status = self._rpc.status
        return status is not None and status.code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        return self._rpc.status is not None

    def time_remaining(self) -> float | None:
        return self._rpc.time_remaining()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._rpc.add_done_callback(functools.partial(callback, self))

    async def initial_metadata(self) -> Metadata:
        return Metadata(*await self._rpc.wait_for_initial_metadata())

    async def trailing_metadata(self) -> Metadata:
        return Metadata(*(await self._rpc.wait()).trailing_metadata)

    async def code(self) -> grpc.StatusCode:
        return (await self._rpc.wait()).code

    async def details(self) -> str:
        return (await self._rpc.wait()).details

    async def debug_error_string(self) -> str:
        """Return what grpc would say to a developer about a failed call."""
        return self._rpc.debug_error_string(await self._rpc.wait())

    async def wait_for_connection(self) -> None:
        """Return at once: the server is here. Raises if the call has failed already."""
        if self._rpc.status is not None:
            self._raise_unless_ok(self._rpc.status)

    def _raise_unless_ok(self, status: Status) -> None:
        if self._rpc.is_locally_cancelled:
            raise asyncio.CancelledError
        if status.code is not grpc.StatusCode.OK:
            raise self._rpc.error(status)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._rpc.method}: {self._rpc.status or 'running'}>"


class _UnaryResponse(_Call):
    """A call with one response, which `await call` returns."""

    def __await__(self) -> Generator[Any, None, Any]:
        rpc = self._rpc
        while rpc.status is None:
            try:
                yield from rpc.waiter()
            except asyncio.CancelledError:
                rpc.cancel()
                raise
        self._raise_unless_ok(rpc.status)
        return rpc.response


class _StreamResponse(_Call):
    """A call with a stream of responses, read by `async for` or by `read`."""

    _iterated: bool | None = None

    def __del__(self) -> None:
        # A client that drops the call has left it, as with grpc.aio.
        self._rpc.cancel(CANCELLED_BY_COLLECTION)

    def __aiter__(self) -> "_StreamResponse":
        if self._iterated is False:
            raise UsageError(_MIXED_STYLES)
        self._iterated = True
        return self

    async def __anext__(self) -> Any:
        rpc = self._rpc
        responses: Pipe = rpc.responses  # type: ignore[assignment]
        try:
            while not responses.items and not responses.closed:
                await responses.filled()
        except asyncio.CancelledError:
            rpc.cancel()
            raise
        if not responses.items:
            self._conclude()
            self._raise_unless_ok(await rpc.wait())
            raise StopAsyncIteration
        message = responses.pop()
        if not responses.items and rpc.served is not None:
            self._conclude()
        return message

    async def read(self) -> Any:
        """Return the next response, or `grpc.aio.EOF` after the last one."""
        if self._iterated:
            raise UsageError(_MIXED_STYLES)
        self._iterated = False
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            return EOF

    def _conclude(self) -> None:
        """Let the client see the status, now that it has read all before it."""
        rpc = self._rpc
        if rpc.served is not None and rpc.status is None:
            rpc.conclude(rpc.served)


class _StreamRequest(_Call):
    """A call with a stream of requests: an iterator's, or those given to `write`."""

    def __init__(self, rpc: Rpc, requests: Requests | None) -> None:
        super().__init__(rpc)
        self._half_closed = False
        self._poller: asyncio.Task[None] | None = None
        if requests is not None:
            self._poller = asyncio.get_running_loop().create_task(
                _write_all(rpc, requests), name=f"requests of {rpc.method}"
            )
            rpc.add_done_callback(self._poller.cancel)

    async def write(self, request: Any) -> None:
        """Send *request*, and wait while the server has too many to read."""
        rpc = self._rpc
        if self._poller is not None:
            raise UsageError(_MIXED_STYLES)
        if rpc.status is not None:
            self._raise_unless_ok(rpc.status)
            raise asyncio.InvalidStateError("RPC already finished.")
        if self._half_closed:
            raise asyncio.InvalidStateError('RPC is half closed after calling "done_writing".')
        assert rpc.requests is not None
        if rpc.requests.push(request):
            try:
                await rpc.requests.room()
            except asyncio.CancelledError:
                rpc.cancel()
                raise

    async def done_writing(self) -> None:
        """Tell the server that there are no more requests. Idempotent."""
        if self._poller is not None:
            raise UsageError(_MIXED_STYLES)
        self._half_closed = True
        assert self._rpc.requests is not None
        self._rpc.requests.close()


async def _write_all(rpc: Rpc, requests: Requests) -> None:
    pipe = rpc.requests
    assert pipe is not None
    try:
        if isinstance(requests, AsyncIterable):
            async for request in requests:
                if pipe.push(request):
                    await pipe.room()
        else:
            for request in requests:
                if pipe.push(request):
                    await pipe.room()
        pipe.close()
    except asyncio.CancelledError:
        rpc.cancel()
        raise
    except Exception:
        # As with grpc.aio: a client's iterator that fails cancels the call.
        log.debug("request_iterator_failed", method=rpc.method, exc_info=True)
        rpc.cancel()


class UnaryUnaryCall(_UnaryResponse, grpc.aio.UnaryUnaryCall[Any, Any]):
    """A call with one request and one response."""

    def __init__(self, rpc: Rpc, server: InProcessServer) -> None:
        self._rpc = rpc
        self._server = server

    def __await__(self) -> Generator[Any, None, Any]:
        rpc = self._rpc
        if rpc.starting is not None:
            yield from self._server.serve_here(rpc)
        while rpc.status is None:
            try:
                yield from rpc.waiter()
            except asyncio.CancelledError:
                rpc.cancel()
                raise
        if rpc.status is not OK:
            self._raise_unless_ok(rpc.status)
        return rpc.response


class UnaryStreamCall(_StreamResponse, grpc.aio.UnaryStreamCall[Any, Any]):
    """A call with one request and a stream of responses."""


class StreamUnaryCall(_StreamRequest, _UnaryResponse, grpc.aio.StreamUnaryCall[Any, Any]):
    """A call with a stream of requests and one response."""


class StreamStreamCall(_StreamRequest, _StreamResponse, grpc.aio.StreamStreamCall[Any, Any]):
    """A call with a stream of requests and a stream of responses."""
