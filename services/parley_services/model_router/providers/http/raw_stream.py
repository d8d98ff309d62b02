"""An answer read as raw bytes from the connection that an SDK opened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

import httpx2

from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.http.transport import READ_EXTENSION
from parley_services.model_router.providers.provider import PINGED, Finished, ProviderEvent
from parley_services.model_router.providers.refusals import (
    failure_of_body,
    failure_of_status,
    retry_after_seconds,
)
from parley_services.model_router.providers.reported_usage import ReportedUsage

MAX_WHOLE_ANSWER_BYTES: Final = 16 * 1024 * 1024

MAX_REQUEST_ID_CHARACTERS: Final = 256

DRAIN_SECONDS: Final = 0.05
"""How long the end of a body is waited for after the last event. It comes in the same
packet or the next; a new connection would cost about as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """How much one answer may bring, and how long its end may take."""

    end_seconds: float = 1.0
    """From the reason of the end to the usage and the end of the stream."""
    max_stream_bytes: int = 64 * 1024 * 1024
    """Of one answer as it comes, framing included."""


class Decoder(Protocol):
    """Turns the bytes of one answer into events."""

    @property
    def usage(self) -> ReportedUsage | None: ...

    @property
    def response_id(self) -> str: ...

    @property
    def unfinished(self) -> str: ...

    @property
    def has_ended(self) -> bool: ...

    @property
    def failure(self) -> ProviderError | None: ...

    def feed(self, chunk: bytes) -> list[ProviderEvent]: ...

    def finish(self) -> list[ProviderEvent]: ...

    def end(self) -> list[ProviderEvent]: ...

    def whole(self, body: bytes) -> list[ProviderEvent]: ...


class RawStream:
    """
    A `ProviderStream` over a response whose body was not read yet.

    The bytes are decoded here, once: the SDKs' own streams build a model object for each
    frame, which costs more than all the rest.
    """

    def __init__(
        self, response: httpx2.Response, decoder: Decoder, limits: StreamLimits | None = None
    ) -> None:
        self._response = response
        self._decoder = decoder
        self._limits = limits or StreamLimits()
        self._read_chunk = _reader_of(response)
        self._comes_whole = response.headers.get("content-type", "").startswith("application/json")
        self._is_whole = False
        self._size = 0
        self._header_id = request_id_of(response)

    @property
    def usage(self) -> ReportedUsage | None:
        return self._decoder.usage

    @property
    def unfinished(self) -> str:
        return self._decoder.unfinished

    @property
    def provider_request_id(self) -> str:
        return self._header_id or self._decoder.response_id

    async def read(self) -> Sequence[ProviderEvent]:
        if self._comes_whole:
            return await self._read_whole()
        if self._decoder.failure is not None:
            raise self._decoder.failure
        if self._decoder.has_ended:
            events = await self._read_end()
        else:
            chunk = await self._next_chunk()
            events = self._decoder.feed(chunk) if chunk else self._decoder.finish()
        self._is_whole = isinstance(events[-1], Finished)
        return events

    async def aclose(self) -> None:
        try:
            if self._is_whole:
                await self._drain()
        finally:
            await self._response.aclose()

    async def _read_end(self) -> list[ProviderEvent]:
        """Return what comes after the reason of the end: in time, or nothing but the end."""
        events: list[ProviderEvent] = []
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(self._limits.end_seconds):
                while chunk := await self._next_chunk():
                    events += (each for each in self._decoder.feed(chunk) if each is not PINGED)
                    if events and isinstance(events[-1], Finished):
                        return events
        return [*events, *self._decoder.end()]

    async def _next_chunk(self) -> bytes:
        try:
            chunk = await self._read_chunk()
        except httpx2.TimeoutException:
            raise ProviderError(FailureKind.STALLED) from None
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.StreamError):
            raise ProviderError(FailureKind.CUT) from None
        self._size += len(chunk)
        if self._size > self._limits.max_stream_bytes:
            raise ProviderError(FailureKind.MALFORMED)
        return chunk

    async def _drain(self) -> None:
        """Read the end of the body: only then may the connection be used again."""
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._next_chunk():
                    pass

    async def _read_whole(self) -> Sequence[ProviderEvent]:
        # Some compatible servers answer in one piece although a stream was asked for.
        body = bytearray()
        while chunk := await self._next_chunk():
            body += chunk
            if len(body) > MAX_WHOLE_ANSWER_BYTES:
                raise ProviderError(FailureKind.MALFORMED)
        self._is_whole = True
        return self._decoder.whole(bytes(body))


def request_id_of(response: httpx2.Response) -> str:
    """Return the provider's id of a call, as its headers have it; empty without one."""
    found = response.headers.get("request-id") or response.headers.get("x-request-id") or ""
    return found[:MAX_REQUEST_ID_CHARACTERS]


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
        provider_request_id=request_id_of(response),
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
