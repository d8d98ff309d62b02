"""One answer as it streams in."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self

import grpc
from parley.orchestrator.v1.orchestrator_service_pb2 import ChatRequest, ChatResponse

from parley_client.errors import ParleyError


class ChatStream:
    """
    The events of one turn, to be read once, and what they add up to.

    Use it as an async context manager: leaving it ends the turn on the server, too.
    """

    def __init__(self, call: grpc.aio.UnaryStreamCall[ChatRequest, ChatResponse]) -> None:
        self._call = call
        self._pieces: list[str] = []
        self.events_seen: list[ChatResponse] = []
        """All events but the deltas."""
        self.completed: ChatResponse.Completed | None = None
        """The last event, once it came."""

    @property
    def answer(self) -> str:
        """The answer so far. Empty again after an event that restarts it."""
        return "".join(self._pieces)

    async def events(self) -> AsyncGenerator[ChatResponse, None]:
        """Yield the events. Raises ParleyError if the turn fails."""
        try:
            async for event in self._call:
                self._take(event)
                yield event
        except grpc.aio.AioRpcError as error:
            raise ParleyError.of(error) from None

    async def text(self) -> AsyncGenerator[str, None]:
        """Yield the pieces of the answer. Raises ParleyError if the turn fails."""
        async with aclosing(self.events()) as events:
            async for event in events:
                if event.HasField("delta"):
                    yield event.delta.text

    async def read(self) -> str:
        """Read to the end and return the whole answer. Raises ParleyError if the turn fails."""
        async for _ in self.events():
            pass
        return self.answer

    def _take(self, event: ChatResponse) -> None:
        match event.WhichOneof("event"):
            case "delta":
                self._pieces.append(event.delta.text)
                return
            case "switched" if event.switched.restarts:
                self._pieces.clear()
            case "completed":
                self.completed = event.completed
        self.events_seen.append(event)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call.cancel()
