"""What a handler sees of an in-process RPC."""

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Never

import grpc
from grpc.aio import EOF, AbortError, InternalError, Metadata, UsageError

from parley_services.kit.rpc.in_process.metadata import Pairs, Value, on_the_wire
from parley_services.kit.rpc.in_process.pipe import Pipe
from parley_services.kit.rpc.in_process.rpc import OK, Rpc, Status


class InProcessContext(grpc.aio.ServicerContext[Any, Any]):
    """The `grpc.aio.ServicerContext` of one in-process RPC."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._trailing_metadata: Pairs = ()
        self._callbacks: list[Callable[[], None]] = []

    async def read(self) -> Any:
        self._raise_if_ended()
        requests = self._rpc.requests
        if requests is None:
            return EOF
        while not requests.items and not requests.closed:
            await requests.filled()
        self._raise_if_ended()
        return requests.pop() if requests.items else EOF

    async def write(self, message: Any) -> None:
        """
        Send *message*, and wait while the client has too many to read.

        When the client has left, asyncio.CancelledError is raised here; again called, by
        a handler that goes on regardless, `grpc.aio.InternalError`.
        """
        rpc = self._rpc
        if rpc.served is not None or rpc.abort_error is not None:
            self._raise_if_ended()
        if rpc.status is not None:
            await asyncio.sleep(0)
            raise InternalError("The client has left.")
        responses = rpc.responses
        if responses is None:
            raise UsageError("This method has one response, which its handler returns.")
        if rpc.initial_metadata is None:
            rpc.send_initial_metadata(())
        if responses.push(message):
            await responses.room()

    async def send_initial_metadata(
        self, initial_metadata: Metadata | Iterable[tuple[str, Value]]
    ) -> None:
        self._raise_if_ended()
        if self._rpc.initial_metadata is not None and self._rpc.status is None:
            raise UsageError("Send initial metadata failed: already sent")
        self._rpc.send_initial_metadata(on_the_wire(initial_metadata))

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Metadata | Iterable[tuple[str, Value]] = (),
    ) -> Never:
        if self._rpc.abort_error is not None:
            raise UsageError("Abort already called!")
        self._code = code
        self._details = details or self._details
        self._trailing_metadata = on_the_wire(trailing_metadata) or self._trailing_metadata
        error = AbortError("Locally aborted.")
        self._rpc.abort_error = error
        self._rpc.end(self.final_status())
        raise error

    async def abort_with_status(self, status: grpc.Status) -> Never:
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def final_status(self) -> Status:
        """Return the status that the handler has set, OK if it set none."""
        if self._code is None and not self._details and not self._trailing_metadata:
            return OK
        return Status(self._code or grpc.StatusCode.OK, self._details, self._trailing_metadata)

    def set_trailing_metadata(
        self, trailing_metadata: Metadata | Iterable[tuple[str, Value]]
    ) -> None:
        self._trailing_metadata = on_the_wire(trailing_metadata)

    def trailing_metadata(self) -> Any:
        return self._trailing_metadata

    def invocation_metadata(self) -> Any:
        return self._rpc.invocation_metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> Any:
        """Return the code that was set, None if none was, as grpc.aio does."""
        return self._code

    def set_details(self, details: str) -> None:
        self._details = details

    def details(self) -> str:
        return self._details

    def set_compression(self, compression: grpc.Compression) -> None:
        """Ignored: nothing is serialised."""

    def disable_next_message_compression(self) -> None:
        """Ignored: nothing is serialised."""

    def peer(self) -> str:
        return "in-process"

    def peer_identities(self) -> None:
        return None

    def peer_identity_key(self) -> None:
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}

    def time_remaining(self) -> Any:
        return self._rpc.time_remaining()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(functools.partial(callback, self))

    def run_done_callbacks(self) -> None:
        """Tell those who asked that the handler has ended; the server calls it once."""
        for callback in self._callbacks:
            callback()

    def done(self) -> bool:
        return self._rpc.served is not None

    def cancelled(self) -> bool:
        """Whether the handler set CANCELLED. A client's cancel arrives as CancelledError."""
        return self._code is grpc.StatusCode.CANCELLED

    def _raise_if_ended(self) -> None:
        # A handler may have swallowed what `abort` raised; it must not go on.
        if self._rpc.abort_error is not None:
            raise self._rpc.abort_error
        if self._rpc.served is not None:
            raise UsageError("RPC already finished.")


class RequestIterator:
    """The requests of a client stream, as a handler iterates over them."""

    __slots__ = ("_rpc",)

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def __aiter__(self) -> "RequestIterator":
        return self

    async def __anext__(self) -> Any:
        rpc = self._rpc
        requests: Pipe = rpc.requests  # type: ignore[assignment]
        while not requests.items and not requests.closed:
            await requests.filled()
        if rpc.abort_error is not None:
            # A handler may have swallowed what `abort` raised; it must not go on.
            raise rpc.abort_error
        if not requests.items:
            raise StopAsyncIteration
        return requests.pop()
