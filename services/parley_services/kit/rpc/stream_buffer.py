"""What one task writes and others read: the pieces of an answer and the events between them."""

import asyncio
from typing import Final, Generic, TypeVar

from parley_services.kit.errors import Overloaded

LIMIT_CHARACTERS: Final = 4 * 1024 * 1024
"""Text that a buffer holds at most: some hundred times the longest answer of any model."""

LIMIT_ITEMS: Final = 1024 * 1024

E = TypeVar("E")


class StreamBuffer(Generic[E]):
    """
    A bounded log of texts (`str`) and events, with one writer and any number of readers.

    Each reader gets all of it from its beginning, at its own pace. Texts that lie side by
    side when it comes to read are merged: a reader that keeps up gets an answer piece by
    piece, one that is busy gets fewer and larger pieces.

        buffer.put("Hel")
        buffer.put("lo")
        buffer.close()
        reader = buffer.reader()
        await reader.next()  # "Hello"
        await reader.next()  # None: it is over
    """

    def __init__(
        self, *, limit_characters: int = LIMIT_CHARACTERS, limit_items: int = LIMIT_ITEMS
    ) -> None:
        self.items: list[str | E] = []
        self.is_closed = False
        """Whether there will be no more."""
        self.is_abandoned = False
        """Whether nobody reads any more, so that nothing is kept."""
        self._limit_characters = limit_characters
        self._limit_items = limit_items
        self._characters = 0
        self._waiting: list[asyncio.Future[None]] = []

    def put(self, item: str | E) -> None:
        """Add *item*. Raises Overloaded beyond the limits."""
        if self.is_abandoned:
            return
        if type(item) is str:
            self._characters += len(item)
        self.items.append(item)
        if self._characters > self._limit_characters or len(self.items) > self._limit_items:
            raise Overloaded(
                "The answer is longer than a stream may be: ask for a shorter one.",
                metadata={"limit": str(self._limit_characters), "unit": "characters"},
            )
        if self._waiting:
            self._wake()

    def close(self) -> None:
        """Say that nothing more comes."""
        self.is_closed = True
        self._wake()

    def abandon(self) -> None:
        """Say that nobody reads any more: forget what is there and keep nothing from now on."""
        self.is_abandoned = True
        self.items.clear()

    def reader(self) -> "StreamReader[E]":
        """Return a reader at the beginning."""
        return StreamReader(self)

    def changed(self) -> asyncio.Future[None]:
        """Return a future that is set by the next `put` or `close`."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return waiting

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class StreamReader(Generic[E]):
    """Reads a buffer once, from its beginning. A cancelled `next` takes nothing."""

    __slots__ = ("_buffer", "_position")

    def __init__(self, buffer: StreamBuffer[E]) -> None:
        self._buffer = buffer
        self._position = 0

    async def next(self) -> str | E | None:
        """Wait for the next event or text, all the text there is; None when it is over."""
        buffer = self._buffer
        items = buffer.items
        position = self._position
        while position >= len(items):
            if buffer.is_closed:
                return None
            await buffer.changed()
        item = items[position]
        self._position = position + 1
        if type(item) is str and position + 1 < len(items):
            return self._merged(item)
        return item

    def _merged(self, first: str) -> str:
        """Return *first* with the texts that follow it."""
        items, texts = self._buffer.items, [first]
        while self._position < len(items) and type(following := items[self._position]) is str:
            texts.append(following)
            self._position += 1
        return "".join(texts)
