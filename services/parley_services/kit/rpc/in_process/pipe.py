"""A bounded buffer between the one who writes the messages of a stream and its reader."""

import asyncio
from collections import deque
from typing import Any

from grpc.aio import UsageError


class Pipe:
    """
    A first-in, first-out buffer of at most *limit* messages.

    A writer that has filled it waits until it is half empty, so that a fast writer and
    its reader switch once for many messages instead of once for each. Any number may
    write; one may read at a time. Whoever waits does so on a future, which may be cancelled.
    Each token of an answer passes two or three pipes, so that no coroutine is made here:

        if pipe.push(message):
            await pipe.room()

        while not pipe.items and not pipe.closed:
            await pipe.filled()
        message = pipe.pop()
    """

    __slots__ = ("_limit", "_loop", "_reader", "_writers", "closed", "items")

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self.items: deque[Any] = deque()
        """The messages that nobody has read."""
        self.closed = False
        """Whether there will be no more."""
        self._loop = loop
        self._limit = limit
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []

    def push(self, item: object) -> bool:
        """Add *item* and return whether the buffer is full now. Does nothing once closed."""
        if self.closed:
            return False
        self.items.append(item)
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)
        return len(self.items) >= self._limit

    def room(self) -> asyncio.Future[None]:
        """Return a future that is set when the buffer is half empty, or closed."""
        room = self._loop.create_future()
        self._writers.append(room)
        return room

    def filled(self) -> asyncio.Future[None]:
        """Return a future that is set when there is a message, or the buffer is closed."""
        if self._reader is not None and not self._reader.done():
            raise UsageError("Another read of this stream is waiting.")
        self._reader = self._loop.create_future()
        return self._reader

    def pop(self) -> Any:
        """Take the next message. Raises IndexError where there is none."""
        item = self.items.popleft()
        if self._writers and len(self.items) * 2 <= self._limit:
            self._wake_writers()
        return item

    def close(self) -> None:
        """Accept no more messages; the reader gets those that are here, then the end."""
        self.closed = True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        if self._writers:
            self._wake_writers()

    def discard(self) -> None:
        """Forget the messages that nobody has read, and close."""
        self.items.clear()
        self.close()

    def _wake_writers(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)
