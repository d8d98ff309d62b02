"""
Carries the SDKs' requests over connections of our own.

httpx2's default transport goes through anyio, h11 and several layers of generators, which
costs about 100 µs of CPU for each piece of a stream; more than all the rest of a turn. This
one speaks HTTP/1.1 straight over asyncio.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import httpx2

from parley_services.model_router.providers.http.connection import (
    MAX_HEAD_BYTES,
    ChunkedDecoder,
    HttpConnection,
    LengthDecoder,
)

MAX_IDLE: Final = 100
"""Connections to one provider that are kept for later at most."""

MAX_IDLE_SECONDS: Final = 50.0
"""How long a connection is kept. Load balancers close idle ones after 60 seconds."""

READ_EXTENSION: Final = "parley_read"
"""The extension of a response that reads the next piece of its body: half the cost of the
iterator that httpx2 wants."""

_Origin: TypeAlias = tuple[str, str, int]
_Headers: TypeAlias = list[tuple[bytes, bytes]]


class StreamingTransport(httpx2.AsyncBaseTransport):
    """Sends requests and streams responses over kept connections, TLS where the URL asks."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._idle: dict[_Origin, list[HttpConnection]] = {}
        self._open: set[HttpConnection] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response once its head has come. Raises httpx2's transport errors."""
        timeouts = request.extensions.get("timeout", {})
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        origin = (url.scheme, url.host, port)
        body = await request.aread()
        connection = self._kept(origin) or await self._connect(origin, timeouts.get("connect"))
        self._open.add(connection)
        try:
            connection.send(_request_bytes(request, body))
            status, headers, rest = await _read_head(connection, timeouts.get("read"))
        except BaseException:
            self._drop(connection)
            raise
        try:
            framing = _framing_of(headers)
        except httpx2.RemoteProtocolError:
            self._drop(connection)
            raise
        stream = _Body(self, origin, connection, framing, rest, timeouts.get("read"))
        # The client wraps the stream; an extension comes through as it is.
        extensions = {READ_EXTENSION: stream.read}
        return httpx2.Response(status, headers=headers, stream=stream, extensions=extensions)

    async def aclose(self) -> None:
        """Close all connections."""
        for connection in tuple(self._open):
            self._drop(connection)
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        # The transports tell their protocols of the end in the next turn of the loop.
        await asyncio.sleep(0)

    def give_back(self, origin: _Origin, connection: HttpConnection) -> None:
        """Keep *connection* for the next request."""
        self._open.discard(connection)
        kept = self._idle.setdefault(origin, [])
        if connection.is_usable and len(kept) < MAX_IDLE:
            connection.idle_since = asyncio.get_running_loop().time()
            kept.append(connection)
        else:
            connection.abort()

    def _drop(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        connection.abort()

    def _kept(self, origin: _Origin) -> HttpConnection | None:
        kept = self._idle.get(origin, [])
        oldest = asyncio.get_running_loop().time() - MAX_IDLE_SECONDS
        while kept:
            connection = kept.pop()
            if connection.is_usable and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: _Origin, limit_seconds: float | None) -> HttpConnection:
        scheme, host, port = origin
        context = self._tls() if scheme == "https" else None
        try:
            async with asyncio.timeout(limit_seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    HttpConnection,
                    host,
                    port,
                    ssl=context,
                    server_hostname=host if context is not None else None,
                )
        except TimeoutError:
            raise httpx2.ConnectTimeout("The connection was not made in time.") from None
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from error
        return connection

    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = httpx2.create_ssl_context()
        return self._ssl_context


@dataclass(frozen=True, slots=True, kw_only=True)
class _Framing:
    """How the body of a response ends."""

    is_chunked: bool
    length: int | None
    """None without chunks: it ends with the connection."""
    keeps: bool
    """Whether the connection may be used again."""


def _framing_of(headers: _Headers) -> _Framing:
    """Return what the headers say. Raises httpx2.RemoteProtocolError for a wrong length."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        key, said = name.lower(), value.strip().lower()
        if key == b"content-length" and fields.get(key, said) != said:
            raise httpx2.RemoteProtocolError("The response has two lengths.")
        fields[key] = said
    length = fields.get(b"content-length")
    is_chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
    if length is not None and not is_chunked and not (length.isdigit() and len(length) < 19):
        raise httpx2.RemoteProtocolError("The length of the response is no number.")
    return _Framing(
        is_chunked=is_chunked,
        length=None if length is None or is_chunked else int(length),
        keeps=fields.get(b"connection") != b"close",
    )


class _Body(httpx2.AsyncByteStream):
    """The body of a response, as it comes."""

    def __init__(
        self,
        transport: StreamingTransport,
        origin: _Origin,
        connection: HttpConnection,
        framing: "_Framing",
        rest: bytes,
        read_seconds: float | None,
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: HttpConnection | None = connection
        self._rest = rest
        self._read_seconds = read_seconds
        self._keeps = framing.keeps
        self._ends_with_connection = framing.length is None and not framing.is_chunked
        self._decoder: ChunkedDecoder | LengthDecoder = (
            ChunkedDecoder() if framing.is_chunked else LengthDecoder(framing.length)
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while payload := await self.read():
            yield payload

    async def read(self) -> bytes:
        """
        Return what came of the body, waiting for something; nothing at its end.

        Raises httpx2's errors.
        """
        decoder = self._decoder
        data, self._rest = self._rest, b""
        while self._connection is not None:
            if data and (payload := decoder.feed(data)):
                return payload
            if decoder.is_done:
                break
            data = await self._connection.receive(self._read_seconds)
            if not data:
                if self._ends_with_connection:
                    break
                raise httpx2.RemoteProtocolError("The connection ended within the response.")
        return b""

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._decoder.is_done and self._keeps and not self._decoder.surplus:
            self._transport.give_back(self._origin, connection)
        else:
            self._transport._drop(connection)


def _request_bytes(request: httpx2.Request, body: bytes) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    has_length = False
    for name, value in request.headers.raw:
        lowered = name.lower()
        if lowered == b"transfer-encoding":
            continue  # The body is sent whole.
        has_length = has_length or lowered == b"content-length"
        lines.append(b"%s: %s" % (name, value))
    if not has_length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))


async def _read_head(
    connection: HttpConnection, limit_seconds: float | None
) -> tuple[int, _Headers, bytes]:
    """Return status, headers and what came of the body. Raises httpx2's errors."""
    buffer = b""
    while True:
        end = buffer.find(b"\r\n\r\n")
        if end >= 0:
            status, headers = _parse_head(buffer[:end])
            buffer = buffer[end + 4 :]
            if status >= 200:
                return status, headers, buffer
            continue  # 1xx: the answer proper comes later.
        if len(buffer) > MAX_HEAD_BYTES:
            raise httpx2.RemoteProtocolError("The head of the response does not end.")
        data = await connection.receive(limit_seconds)
        if not data:
            raise httpx2.RemoteProtocolError("The connection ended without a response.")
        buffer += data


def _parse_head(head: bytes) -> tuple[int, _Headers]:
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ", 2)
    if not words[0].startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():
        raise httpx2.RemoteProtocolError("The response is no HTTP/1.1.")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name.strip():
            raise httpx2.RemoteProtocolError("A header of the response is malformed.")
        headers.append((name.strip(), value.strip()))
    return int(words[1]), headers
