"""Runs handlers for in-process channels."""

import asyncio
import contextvars
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import structlog
from grpc.aio import AbortError, UsageError

from parley_services.kit.rpc.in_process.context import InProcessContext, RequestIterator
from parley_services.kit.rpc.in_process.metadata import Pairs
from parley_services.kit.rpc.in_process.rpc import Rpc, Status
from parley_services.kit.rpc.wrap_handler import HandlerWrapper

log = structlog.get_logger()

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_NOT_FOUND = Status(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
_NOT_RUNNING = Status(grpc.StatusCode.UNAVAILABLE, "The in-process server is not running.")
_STOPPED_UNDERWAY = Status(grpc.StatusCode.UNAVAILABLE, "The in-process server has stopped.")
_CANCELLED_INSIDE = Status(grpc.StatusCode.CANCELLED, "The handler was cancelled.")


@dataclass(slots=True)
class _CallDetails(grpc.HandlerCallDetails):
    method: str
    invocation_metadata: Pairs


class InProcessServer(grpc.aio.Server):
    """
    A `grpc.aio.Server` without a port, reached by `InProcessChannel`.

    *interceptors* run around every call in their order, the first outermost. Handlers
    run each in its own task, in a copy of the context variables of whoever made the
    server, so that nothing leaks from client to handler but what the metadata carries.

    Before `start` and after `stop`, calls end with UNAVAILABLE; before `start`, a call
    made with `wait_for_ready=True` waits.
    """

    def __init__(self, *, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()) -> None:
        self._interceptors = tuple(interceptors)
        self._wrappers = [each for each in interceptors if isinstance(each, HandlerWrapper)]
        self._wrapped: dict[str, Any] | None = (
            {} if len(self._wrappers) == len(self._interceptors) else None
        )
        self._generic_handlers: list[grpc.GenericRpcHandler] = []
        self._handlers: dict[str, Handler] = {}
        self._context = contextvars.copy_context()
        self._running = False
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._parked: list[Rpc] = []
        self._active: dict[Rpc, asyncio.Task[None]] = {}

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        self._generic_handlers.extend(generic_rpc_handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Handler]
    ) -> None:
        for method, handler in method_handlers.items():
            self._handlers[f"/{service_name}/{method}"] = handler

    def add_insecure_port(self, address: str) -> int:
        raise UsageError("An in-process server has no port.")

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        raise UsageError("An in-process server has no port.")

    async def start(self) -> None:
        if self._started.is_set():
            raise UsageError("An in-process server starts once.")
        self._running = True
        self._started.set()
        parked, self._parked = self._parked, []
        for rpc in parked:
            self.accept(rpc)

    async def stop(self, grace: float | None) -> None:
        """
        Refuse new calls, wait up to *grace* seconds for those in flight, end the rest.

        The calls that are ended so get UNAVAILABLE and their handlers are cancelled.
        Returns when every handler has ended. Idempotent.
        """
        self._running = False
        self._started.set()
        self._stopping.set()
        for rpc in self._parked:
            rpc.end(_NOT_RUNNING)
        self._parked.clear()
        if self._active and grace:
            await asyncio.wait(list(self._active.values()), timeout=grace)
        ending = list(self._active.items())
        for rpc, task in ending:
            rpc.end(_STOPPED_UNDERWAY)
            if rpc.begun:
                task.cancel()
        if ending:
            await asyncio.wait([task for _, task in ending])
        self._stopped.set()

    async def wait_for_termination(  # the name of the argument is grpc's
        self,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> bool:
        """Wait until stopped; return True if *timeout* seconds passed before that."""
        try:
            async with asyncio.timeout(timeout):
                await self._stopped.wait()
        except TimeoutError:
            return True
        return False

    async def wait_until_started(self) -> None:
        """Return once calls are served, or never will be."""
        await self._started.wait()

    async def wait_for_state_change(self) -> None:
        """Return after the next start or stop; never, if it has stopped."""
        if not self._started.is_set():
            await self._started.wait()
        elif self._running:
            await self._stopping.wait()
        else:
            await asyncio.Event().wait()

    @property
    def is_running(self) -> bool:
        """Whether calls are served now."""
        return self._running

    def accept(self, rpc: Rpc, *, wait_for_ready: bool = False) -> None:
        """Start to serve *rpc*, in a task of its own."""
        if rpc.status is not None:
            return
        if not self._running:
            if wait_for_ready and not self._started.is_set():
                self._parked.append(rpc)
            else:
                rpc.end(_NOT_RUNNING)
            return
        # The task's name tells a developer which call hangs; the default one costs more.
        rpc.task = self._active[rpc] = asyncio.get_running_loop().create_task(
            self._serve(rpc), name=rpc.method, context=self._context.copy()
        )

    def cancel_calls_of(self, channel: object) -> None:
        """Cancel what *channel* has in flight."""
        for rpc in [*self._active, *self._parked]:
            if rpc.channel is channel:
                rpc.cancel("Channel is closed.")

    async def wait_for_calls_of(self, channel: object, *, timeout_seconds: float) -> None:
        """Wait until *channel* has no call in flight, at most *timeout_seconds*."""
        tasks = [task for rpc, task in self._active.items() if rpc.channel is channel]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_seconds)

    async def _serve(self, rpc: Rpc) -> None:
        rpc.begun = True
        context = InProcessContext(rpc)
        try:
            if rpc.status is None and rpc.served is None:
                await self._handle(rpc, context)
        except AbortError as error:
            if error is not rpc.abort_error:
                self._crashed(rpc, context, error)
        except asyncio.CancelledError:
            rpc.end(_CANCELLED_INSIDE)
        except Exception as error:
            self._crashed(rpc, context, error)
        finally:
            del self._active[rpc]
            context.run_done_callbacks()

    async def _handle(self, rpc: Rpc, context: InProcessContext) -> None:
        wrapped = self._wrapped
        handler = None if wrapped is None else wrapped.get(rpc.method)
        if handler is None:
            handler = await self._find(_CallDetails(rpc.method, rpc.invocation_metadata))
        if (
            handler is None
            or handler.request_streaming != (rpc.requests is not None)
            or handler.response_streaming != (rpc.responses is not None)
        ):
            rpc.end(_NOT_FOUND)
            return
        request = rpc.request if rpc.requests is None else RequestIterator(context)
        rpc.request = None
        if rpc.responses is None:
            unary: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary
            response = await unary(request, context)
            status = context.final_status()
            if status.code is grpc.StatusCode.OK and response is None:
                raise TypeError(f"The handler of {rpc.method} returned None, not a message.")
            rpc.response = response
        else:
            stream: Any = (
                handler.stream_stream if handler.request_streaming else handler.unary_stream
            )
            responses = stream(request, context)
            if hasattr(responses, "__aiter__"):
                async for response in responses:
                    await context.write(response)
            else:
                await responses
            status = context.final_status()
        if rpc.abort_error is not None:
            raise rpc.abort_error
        rpc.end(status)

    async def _find(self, details: _CallDetails) -> Any:
        if self._wrapped is None:
            return await self._intercept(0, details)
        handler = self._lookup(details)
        if handler is not None:
            for wrapper in reversed(self._wrappers):
                handler = wrapper.wrap(details.method, handler)
            self._wrapped[details.method] = handler
        return handler

    async def _intercept(self, index: int, details: grpc.HandlerCallDetails) -> Any:
        if index == len(self._interceptors):
            return self._lookup(details)

        def continuation(inner: grpc.HandlerCallDetails) -> Awaitable[Any]:
            return self._intercept(index + 1, inner)

        return await self._interceptors[index].intercept_service(continuation, details)

    def _lookup(self, details: grpc.HandlerCallDetails) -> Any:
        handler = self._handlers.get(details.method)
        if handler is not None:
            return handler
        for generic in self._generic_handlers:
            found = generic.service(details)
            if found is not None:
                return found
        return None

    def _crashed(self, rpc: Rpc, context: InProcessContext, error: Exception) -> None:
        if rpc.status is not None or rpc.served is not None:
            return
        log.exception("handler_crashed", method=rpc.method)
        set_by_handler = context.final_status()
        code = set_by_handler.code
        rpc.end(
            Status(
                grpc.StatusCode.UNKNOWN if code is grpc.StatusCode.OK else code,
                f"Unexpected {type(error)}: {error}",
                set_by_handler.trailing_metadata,
            )
        )
