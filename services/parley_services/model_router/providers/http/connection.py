"""One HTTP/1.1 connection to a provider, read with as few steps as can be."""

import asyncio
from typing import Final, cast

import httpx2

MAX_HEAD_BYTES: Final = 64 * 1024
HIGH_WATER_BYTES: Final = 1024 * 1024
"""Bytes that wait to be read at most; then the provider has to wait too."""


class HttpConnection(asyncio.Protocol):
    """
    Collects what comes in until it is asked for.

    Bytes that came while nobody was reading are returned together, so that a busy process
    does less work for each of them.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.ended = False
        """Whether the other side has closed the connection, or it broke."""
        self.idle_since = 0.0
        """When it was last given back, on the loop's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods and not the base class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent: nothing came unasked, nobody hung up."""
        return not self.ended and not self._received

    def send(self, data: bytes) -> None:
        """Send *data*, a whole request."""
        assert self._transport is not None
        self._transport.write(data)

    async def receive(self, limit_seconds: float | None) -> bytes:
        """
        Return all that has come, waiting for something; nothing at the end.

        Raises httpx2.ReadTimeout after *limit_seconds*, None being no limit.
        """
        if not self._received and not self.ended:
            await self._wait(limit_seconds)
        received = self._received
        data = received[0] if len(received) == 1 else b"".join(received)
        received.clear()
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, limit_seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if limit_seconds is not None:
            # One timer looks after all waits, and is moved only when it fires.
            self._due = loop.time() + limit_seconds
            if self._timer is None or self._timer.when() > self._due:
                self._set_timer(loop)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._due, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if loop.time() < self._due:
            self._set_timer(loop)
        else:
            self._waiter.set_exception(httpx2.ReadTimeout("The provider fell silent."))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ChunkedDecoder:
    """Takes the chunked transfer coding off (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        self._in_trailer = False
        self.is_done = False
        self.surplus = b""
        """What came after the end: it belongs to no response."""

    def feed(self, data: bytes) -> bytes:
        """Return the payload in *data*. Raises httpx2.RemoteProtocolError."""
        buffer = self._rest + data if self._rest else data
        position, parts = 0, []
        while not self.is_done:
            if self._left:
                part = buffer[position : position + self._left]
                position += len(part)
                self._left -= len(part)
                # The line end after a chunk is counted with it and is no payload.
                kept = len(part) - max(0, 2 - self._left) if self._left < 2 else len(part)
                parts.append(part[: max(kept, 0)])
                if self._left:
                    break
                continue
            end = buffer.find(b"\r\n", position)
            if end < 0:
                break
            line, position = buffer[position:end], end + 2
            self._line(line)
        self._rest = buffer[position:]
        if len(self._rest) > MAX_HEAD_BYTES:
            raise httpx2.RemoteProtocolError("A chunk's size does not end.")
        if self.is_done:
            self.surplus, self._rest = self._rest, b""
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _line(self, line: bytes) -> None:
        if self._in_trailer:
            self.is_done = not line
            return
        try:
            size = int(line.split(b";", 1)[0], 16)
        except ValueError:
            size = -1
        if size < 0:
            raise httpx2.RemoteProtocolError("A chunk has no size.")
        if size:
            self._left = size + 2
        else:
            self._in_trailer = True


class LengthDecoder:
    """Counts a body of known length; None is until the connection ends."""

    def __init__(self, length: int | None) -> None:
        self._left = length
        self.is_done = length == 0
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """Return the payload in *data*."""
        if self._left is None:
            return data
        payload, self.surplus = data[: self._left], data[self._left :]
        self._left -= len(payload)
        self.is_done = not self._left
        return payload
