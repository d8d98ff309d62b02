"""Runs handlers for in-process channels."""

import asyncio
import contextvars
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import suppress
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
        self._wrapped: dict[str, Any] = {}
        self._generic_handlers: list[grpc.GenericRpcHandler] = []
        self._handlers: dict[str, Handler] = {}
        self._context = contextvars.copy_context()
        self._running = False
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._parked: list[Rpc] = []
        self._active: dict[Rpc, None] = {}
        self._watchers: list[asyncio.Future[None]] = []

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
            await self._until_served(list(self._active), timeout_seconds=grace)
        ending = list(self._active)
        for rpc in ending:
            rpc.end(_STOPPED_UNDERWAY)
            rpc.cancel_handler()
        await self._until_served(ending, timeout_seconds=None)
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
        self._active[rpc] = None
        rpc.task = asyncio.get_running_loop().create_task(
            self._serve(rpc), name=rpc.method, context=self._context.copy()
        )

    def accept_soon(self, rpc: Rpc, *, wait_for_ready: bool = False) -> None:
        """Start to serve *rpc* in the next step of the event loop, unless `serve_here` does."""
        rpc.starting = asyncio.get_running_loop().call_soon(self._accept_now, rpc, wait_for_ready)

    def serve_here(self, rpc: Rpc) -> Generator[Any, None, None]:
        """
        Serve *rpc* in the task that waits for it, in the context of the server.

        That saves a task and two turns of the event loop for each call. A cancel of the
        task reaches the handler as it would reach a coroutine that is awaited. Where the RPC
        ends before its handler, at its deadline, the rest of the handler goes on in a task
        of its own, which is cancelled, and the client does not wait.
        """
        task = asyncio.current_task()
        if rpc.starting is None or task is None or not self._running or rpc.status is not None:
            return
        rpc.starting.cancel()
        rpc.starting = None
        self._active[rpc] = None
        rpc.task = task
        cancels = task.cancelling()
        context, handler = self._context.copy(), self._serve(rpc)
        step: Callable[[Any], Any] = handler.send
        argument: Any = None
        try:
            while True:
                try:
                    waits_for = context.run(step, argument)
                except StopIteration:
                    break
                try:
                    yield waits_for
                except BaseException as error:  # Also what the awaited future failed with.
                    if rpc.is_handler_cancelled and isinstance(error, asyncio.CancelledError):
                        # By `cancel_handler`, so nobody cancelled the client.
                        task.uncancel()
                        self._end_apart(rpc, handler, context)
                        break
                    step, argument = handler.throw, error
                else:
                    step, argument = handler.send, None
        except BaseException:
            context.run(handler.close)
            raise
        if rpc.is_cut_off and task.cancelling() > cancels:
            rpc.cancel()
            raise asyncio.CancelledError
        while task.cancelling() > cancels:
            task.uncancel()  # A TaskGroup in the handler has cancelled its task, and forgot it.

    def cancel_calls_of(self, channel: object) -> None:
        """Cancel what *channel* has in flight."""
        for rpc in [*self._active, *self._parked]:
            if rpc.channel is channel:
                rpc.cancel("Channel is closed.")

    async def wait_for_calls_of(self, channel: object, *, timeout_seconds: float) -> None:
        """Wait until *channel* has no call in flight, at most *timeout_seconds*."""
        mine = [rpc for rpc in self._active if rpc.channel is channel]
        await self._until_served(mine, timeout_seconds=timeout_seconds)

    def _accept_now(self, rpc: Rpc, wait_for_ready: bool) -> None:
        rpc.starting = None
        if rpc.channel.closed:
            rpc.cancel("Channel is closed.")
        self.accept(rpc, wait_for_ready=wait_for_ready)

    def _end_apart(
        self, rpc: Rpc, handler: Coroutine[Any, Any, None], context: contextvars.Context
    ) -> None:
        # Its first step throws the cancel into the handler where it waits.
        rpc.task = asyncio.get_running_loop().create_task(handler, name=rpc.method, context=context)
        rpc.task.cancel()

    async def _until_served(self, rpcs: list[Rpc], *, timeout_seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while any(rpc in self._active for rpc in rpcs):
                    served = asyncio.get_running_loop().create_future()
                    self._watchers.append(served)
                    await served

    async def _serve(self, rpc: Rpc) -> None:
        rpc.begun = True
        context = InProcessContext(rpc)
        try:
            if rpc.status is None and rpc.served is None:
                handler = self._wrapped.get(rpc.method) or await self._find(rpc)
                responding = _responding(handler, rpc, context)
                if responding is None:
                    rpc.end(_NOT_FOUND)
                else:
                    self._end(rpc, context, await responding)
        except AbortError as error:
            if error is not rpc.abort_error:
                self._crashed(rpc, context, error)
        except asyncio.CancelledError:
            rpc.is_cut_off = True
            rpc.end(_CANCELLED_INSIDE)
        except Exception as error:
            self._crashed(rpc, context, error)
        finally:
            del self._active[rpc]
            context.run_done_callbacks()
            if self._watchers:
                self._wake_watchers()

    def _wake_watchers(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    async def _find(self, rpc: Rpc) -> Any:
        details = _CallDetails(rpc.method, rpc.invocation_metadata)
        if len(self._wrappers) < len(self._interceptors):
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

    def _end(self, rpc: Rpc, context: InProcessContext, response: Any) -> None:
        """End *rpc*, whose handler has returned *response*."""
        status = context.final_status()
        if rpc.responses is None:
            if response is None and status.code is grpc.StatusCode.OK:
                raise TypeError(f"The handler of {rpc.method} returned None, not a message.")
            rpc.response = response
        if rpc.abort_error is not None:
            raise rpc.abort_error
        rpc.end(status)

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


def _responding(handler: Any, rpc: Rpc, context: InProcessContext) -> Awaitable[Any] | None:
    """Call *handler* and return what ends with it, None if it serves another kind of method."""
    if (
        handler is None
        or handler.request_streaming != (rpc.requests is not None)
        or handler.response_streaming != (rpc.responses is not None)
    ):
        return None
    respond = (
        handler.unary_unary or handler.unary_stream or handler.stream_stream or handler.stream_unary
    )
    request = rpc.request if rpc.requests is None else RequestIterator(rpc)
    rpc.request = None
    responding = respond(request, context)
    if rpc.responses is not None and hasattr(responding, "__aiter__"):
        return _write_all(responding, context)
    return responding  # type: ignore[no-any-return]


async def _write_all(responses: AsyncIterable[Any], context: InProcessContext) -> None:
    async for response in responses:
        await context.write(response)
