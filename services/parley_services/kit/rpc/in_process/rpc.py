"""The state of one RPC, which the client's call and the server's context share."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from grpc import StatusCode
from grpc.aio import AbortError, AioRpcError, Metadata

from parley_services.kit.rpc.in_process.metadata import Pairs
from parley_services.kit.rpc.in_process.pipe import Pipe

BUFFERED_MESSAGES = 64
"""Messages of one direction of a stream that may wait for their reader. Enough to let
a burst pass with few switches, and a stream of 4 KiB messages holds at most 256 KiB."""


@dataclass(slots=True)
class Status:
    """How an RPC ended. Not changed after it is made; not frozen because that is slow."""

    code: StatusCode
    details: str = ""
    trailing_metadata: Pairs = ()


OK = Status(StatusCode.OK)

CANCELLED_LOCALLY = "Locally cancelled by application!"
CANCELLED_BY_COLLECTION = "Cancelled upon garbage collection!"
DEADLINE_STATUS = Status(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


class Channel(Protocol):
    """The client's end, as its RPCs know it."""

    closed: bool
    """Whether its calls are to be cancelled."""


class Rpc:
    """
    One RPC from its start to its status.

    There are two ends. `end` is the server's: the client learns of it when it has read
    the messages sent before. `cancel` and `_expire` are the client's: it learns at once,
    unread messages are dropped and the handler's task is cancelled.
    """

    __slots__ = (
        "_callbacks",
        "_initial_waiters",
        "_loop",
        "_timer",
        "_waiters",
        "abort_error",
        "begun",
        "channel",
        "deadline",
        "initial_metadata",
        "invocation_metadata",
        "is_cut_off",
        "is_handler_cancelled",
        "is_locally_cancelled",
        "method",
        "request",
        "requests",
        "response",
        "responses",
        "served",
        "starting",
        "status",
        "task",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: "Channel",
        method: str,
        request: object,
        request_streaming: bool,
        response_streaming: bool,
        timeout: float | None,
        metadata: Pairs,
    ) -> None:
        self._loop = loop
        self.channel = channel
        self.method = method
        self.invocation_metadata = metadata
        self.request = request
        self.requests = Pipe(loop, BUFFERED_MESSAGES) if request_streaming else None
        self.responses = Pipe(loop, BUFFERED_MESSAGES) if response_streaming else None
        self.response: Any = None

        self.starting: asyncio.Handle | None = None
        """What will make the handler's task, unless the client serves the RPC before."""
        self.task: asyncio.Task[Any] | None = None
        """The task in which the handler runs; set by the server."""
        self.begun = False
        """Whether the handler has run; cancelled earlier, it would never clean up."""
        self.is_cut_off = False
        """Whether the handler ended by a CancelledError."""
        self.is_handler_cancelled = False
        """Whether `cancel_handler` was called."""
        self.abort_error: AbortError | None = None

        self.initial_metadata: Pairs | None = None
        """What the server sent ahead; None while it may still send it."""
        self.served: Status | None = None
        """How the server ended the RPC; None while it has not."""
        self.status: Status | None = None
        """How the RPC ended for the client; None while it goes on."""
        self.is_locally_cancelled = False

        self._waiters: list[asyncio.Future[None]] = []
        self._initial_waiters: list[asyncio.Future[None]] = []
        self._callbacks: list[Callable[[], object]] = []
        self._timer: asyncio.TimerHandle | None = None
        if timeout is None:
            self.deadline: float | None = None
        else:
            self.deadline = time.monotonic() + timeout
            if timeout > 0:
                self._timer = loop.call_later(timeout, self._expire)
            else:
                self._expire()

    # What the server does.

    def send_initial_metadata(self, metadata: Pairs) -> None:
        if self.initial_metadata is None:
            self.initial_metadata = metadata
            if self._initial_waiters:
                _wake(self._initial_waiters)

    def end(self, status: Status) -> None:
        """End the RPC with the server's *status*. Does nothing if it has ended."""
        if self.served is not None or self.status is not None:
            return
        self.served = status
        if self.requests is not None:
            self.requests.discard()
        if self.responses is not None:
            self.responses.close()
            if self.responses.items:
                self.send_initial_metadata(())
                return
        self.conclude(status)

    def cancel_handler(self) -> None:
        """Let the handler see a cancel, if it runs."""
        if self.task is not None and self.begun:
            self.is_handler_cancelled = True
            self.task.cancel()

    # What the client does.

    def cancel(self, details: str = CANCELLED_LOCALLY) -> bool:
        """Leave the RPC; return False if it has ended already."""
        if self.status is not None:
            return False
        self.is_locally_cancelled = True
        self._leave(Status(StatusCode.CANCELLED, details))
        return True

    def conclude(self, status: Status) -> None:
        """Let the client see *status*."""
        self.status = status
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.initial_metadata is None:
            self.send_initial_metadata(())
        if self._waiters:
            _wake(self._waiters)
        if self._callbacks:
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    async def wait(self) -> Status:
        """Return the status, once there is one. A cancel only ends the waiting."""
        while self.status is None:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        return self.status

    async def wait_for_initial_metadata(self) -> Pairs:
        """Return the initial metadata, once it is there or the RPC has ended."""
        while self.initial_metadata is None:
            waiter = self._loop.create_future()
            self._initial_waiters.append(waiter)
            await waiter
        return self.initial_metadata

    def waiter(self) -> asyncio.Future[None]:
        """Return a future that is set when the RPC has ended for the client."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """Call *callback* when the RPC has ended for the client: now, if it has."""
        if self.status is not None:
            callback()
        else:
            self._callbacks.append(callback)

    def error(self, status: Status) -> AioRpcError:
        """Return *status* as the exception that the client sees."""
        return AioRpcError(
            status.code,
            Metadata(*(self.initial_metadata or ())),
            Metadata(*status.trailing_metadata),
            status.details,
            self.debug_error_string(status),
        )

    def debug_error_string(self, status: Status) -> str:
        """Return what grpc would say to a developer about a failed call."""
        if status.code is StatusCode.OK:
            return ""
        return f"{status.code.name} in process from {self.method}: {status.details}"

    def time_remaining(self) -> float | None:
        """Return the seconds left, 0 when they are over; None if no deadline was set."""
        if self.deadline is None:
            return None
        if self.status is DEADLINE_STATUS:
            return 0.0
        return max(0.0, self.deadline - time.monotonic())

    def _expire(self) -> None:
        if self.status is None:
            self._leave(DEADLINE_STATUS)

    def _leave(self, status: Status) -> None:
        self.conclude(status)
        if self.requests is not None:
            self.requests.discard()
        if self.responses is not None:
            self.responses.discard()
        if self.served is None:
            self.cancel_handler()


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()
