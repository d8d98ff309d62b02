"""An answer read as raw bytes from the connection that an SDK opened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

import httpx2

from parley_services.kit.chat.usage import Usage
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.http.transport import READ_EXTENSION
from parley_services.model_router.providers.provider import Finished, ProviderEvent
from parley_services.model_router.providers.refusals import (
    failure_of_body,
    failure_of_status,
    retry_after_seconds,
)

MAX_WHOLE_ANSWER_BYTES: Final = 16 * 1024 * 1024

DRAIN_SECONDS: Final = 0.05
"""How long the end of a body is waited for after the last event. It comes in the same
packet or the next; a new connection would cost about as much."""


class Decoder(Protocol):
    """Turns the bytes of one answer into events."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def response_id(self) -> str: ...

    def feed(self, chunk: bytes) -> list[ProviderEvent]: ...

    def finish(self) -> list[ProviderEvent]: ...

    def whole(self, body: bytes) -> list[ProviderEvent]: ...


class RawStream:
    """
    A `ProviderStream` over a response whose body was not read yet.

    The bytes are decoded here, once: the SDKs' own streams build a model object for each
    frame, which costs more than all the rest.
    """

    def __init__(self, response: httpx2.Response, decoder: Decoder) -> None:
        self._response = response
        self._decoder = decoder
        self._read_chunk = _reader_of(response)
        self._comes_whole = response.headers.get("content-type", "").startswith("application/json")
        self._is_whole = False
        self._header_id = response.headers.get("request-id") or response.headers.get("x-request-id")

    @property
    def usage(self) -> Usage | None:
        return self._decoder.usage

    @property
    def provider_request_id(self) -> str:
        return self._header_id or self._decoder.response_id

    async def read(self) -> Sequence[ProviderEvent]:
        if self._comes_whole:
            return await self._read_whole()
        while True:
            try:
                chunk = await self._read_chunk()
            except httpx2.TimeoutException:
                raise ProviderError(FailureKind.STALLED) from None
            except (httpx2.TransportError, httpx2.DecodingError, httpx2.StreamError):
                raise ProviderError(FailureKind.CUT) from None
            events = self._decoder.feed(chunk) if chunk else self._decoder.finish()
            if events:
                self._is_whole = isinstance(events[-1], Finished)
                return events

    async def aclose(self) -> None:
        try:
            if self._is_whole:
                await self._drain()
        finally:
            await self._response.aclose()

    async def _drain(self) -> None:
        """Read the end of the body: only then may the connection be used again."""
        with suppress(TimeoutError, httpx2.TransportError, httpx2.DecodingError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._read_chunk():
                    pass

    async def _read_whole(self) -> Sequence[ProviderEvent]:
        # Some compatible servers answer in one piece although a stream was asked for.
        body = bytearray()
        try:
            while chunk := await self._read_chunk():
                body += chunk
                if len(body) > MAX_WHOLE_ANSWER_BYTES:
                    raise ProviderError(FailureKind.MALFORMED)
        except httpx2.TransportError:
            raise ProviderError(FailureKind.CUT) from None
        return self._decoder.whole(bytes(body))


def _reader_of(response: httpx2.Response) -> Callable[[], Awaitable[bytes]]:
    """Return what reads the next piece of the body; nothing is its end."""
    if "content-encoding" in response.headers:
        return partial(_next_of, response.aiter_bytes())
    # Nothing to decode: past the response's own layers, which cost more than reading.
    read: Callable[[], Awaitable[bytes]] | None = response.extensions.get(READ_EXTENSION)
    if read is not None:
        return read
    if isinstance(response.stream, httpx2.AsyncByteStream):
        return partial(_next_of, aiter(response.stream))
    return partial(_next_of, response.aiter_bytes())


async def _next_of(chunks: AsyncIterator[bytes]) -> bytes:
    async for chunk in chunks:
        if chunk:
            return chunk
    return b""


def error_of_response(response: httpx2.Response, body: Any) -> ProviderError:
    """Return what a response of status 400 or above means; *body* is its JSON, or not."""
    error = body.get("error", body) if isinstance(body, dict) else body
    return ProviderError(
        failure_of_body(response.status_code, error)
        if error
        else failure_of_status(response.status_code),
        retry_after_seconds=retry_after_seconds(response.headers, datetime.now(UTC)),
        provider_request_id=response.headers.get("request-id")
        or response.headers.get("x-request-id")
        or "",
    )


def error_of_connection(cause: BaseException | None) -> ProviderError:
    """Return what it means that an SDK could not send its request, by the cause it names."""
    match cause:
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return ProviderError(FailureKind.CONNECT_TIMEOUT)
        case httpx2.TimeoutException():
            return ProviderError(FailureKind.FIRST_TOKEN_TIMEOUT)
        case _:
            return ProviderError(FailureKind.CONNECT_FAILED)
