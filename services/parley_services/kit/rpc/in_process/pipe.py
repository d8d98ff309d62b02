"""A bounded buffer between the one who writes the messages of a stream and its reader."""

import asyncio
from collections import deque
from typing import Any

from grpc.aio import EOF, UsageError


class Pipe:
    """
    A first-in, first-out buffer of at most *limit* messages.

    A writer that has filled it waits until it is half empty, so that a fast writer and
    its reader switch once for many messages instead of once for each. Any number may
    write; one may read at a time. A cancelled `put` or `get` leaves the buffer usable.
    """

    __slots__ = ("_closed", "_limit", "_loop", "_reader", "_writers", "items")

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self.items: deque[Any] = deque()
        self._loop = loop
        self._limit = limit
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._closed = False

    async def put(self, item: object) -> None:
        """Add *item*, then wait while the buffer is full. Does nothing once closed."""
        if self._closed:
            return
        self.items.append(item)
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)
        if len(self.items) >= self._limit:
            room = self._loop.create_future()
            self._writers.append(room)
            await room

    async def get(self) -> Any:
        """Return the next message, or `grpc.aio.EOF` when closed and empty."""
        while not self.items:
            if self._closed:
                return EOF
            if self._reader is not None:
                raise UsageError("Another read of this stream is waiting.")
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        item = self.items.popleft()
        if self._writers and len(self.items) * 2 <= self._limit:
            self._wake_writers()
        return item

    def close(self) -> None:
        """Accept no more messages; the reader gets those that are here, then EOF."""
        self._closed = True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
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
