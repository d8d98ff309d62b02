"""Events on their way to a client that may read more slowly than they come."""

import asyncio
from collections.abc import Sequence
from typing import Final

from parley_services.model_router.providers.provider import ReasoningDelta, TextDelta
from parley_services.model_router.stream.events import RouterEvent

MAX_CHARACTERS: Final = 64 * 1024
"""Text that waits at most; then whoever writes waits too, and so does the provider."""

MAX_EVENTS: Final = 256

GATHER_SECONDS: Final = 0.005
"""How long text is gathered after a piece has left. Models that people wait for write a token
every 10 to 50 ms, so each leaves at once; what comes in a burst leaves in one message, which
costs over TCP as much as a hundred tokens inside the process."""


class Outbox:
    """
    A bounded buffer between one writer and one reader.

    While the reader is busy, text after text becomes one event: an idle client gets the
    answer token by token, a busy one fewer and larger pieces.
    """

    def __init__(self) -> None:
        self._events: list[RouterEvent] = []
        self._pieces: list[str] = []
        self._piece_type: type[TextDelta] | type[ReasoningDelta] = TextDelta
        self._characters = 0
        self._closed = False
        self.is_abandoned = False
        """Whether nobody will take what comes."""
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._gathering: asyncio.Future[None] | None = None

    async def put(self, event: RouterEvent) -> None:
        """Add *event*; wait while there is no room. Nothing is kept once `abandon` was called."""
        if self.is_abandoned:
            return
        if isinstance(event, TextDelta | ReasoningDelta):
            if self._piece_type is not type(event):
                self._join()
                self._piece_type = type(event)
            self._pieces.append(event.text)
            self._characters += len(event.text)
        else:
            self._join()
            self._events.append(event)
            self._end_gathering()
        self._wake()
        while self._characters > MAX_CHARACTERS or len(self._events) > MAX_EVENTS:
            self._end_gathering()
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def close(self) -> None:
        """Say that nothing more comes."""
        self._closed = True
        self._end_gathering()
        self._wake()

    def abandon(self) -> None:
        """Say that nobody takes any more, and let whoever waits for room go on."""
        self.is_abandoned = True
        self._events, self._pieces, self._characters = [], [], 0
        self._make_room()

    async def gather(self, seconds: float = GATHER_SECONDS) -> None:
        """Let text come for *seconds*, or until there is something else, no room, or the end."""
        if self._events or self._closed or self._room is not None:
            return
        loop = asyncio.get_running_loop()
        self._gathering = loop.create_future()
        timer = loop.call_later(seconds, self._end_gathering)
        try:
            await self._gathering
        finally:
            timer.cancel()
            self._gathering = None

    async def take(self) -> Sequence[RouterEvent]:
        """Return all that waits, at least one event; nothing once closed and empty."""
        while not self._events and not self._pieces and not self._closed:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._join()
        events, self._events = self._events, []
        self._characters = 0
        self._make_room()
        return events

    def _make_room(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def _join(self) -> None:
        if self._pieces:
            pieces = self._pieces
            text = pieces[0] if len(pieces) == 1 else "".join(pieces)
            self._events.append(self._piece_type(text))
            pieces.clear()

    def _end_gathering(self) -> None:
        if self._gathering is not None and not self._gathering.done():
            self._gathering.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None
