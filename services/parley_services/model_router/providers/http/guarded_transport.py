"""Keeps what a provider answers within bounds, over whichever transport carries it."""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

MAX_REDIRECTS: Final = 3


class GuardedTransport(httpx2.AsyncBaseTransport):
    """
    Sends requests over another transport and looks at the heads of the responses.

    A redirect that keeps method and body (307, 308) is followed on the same host, since the
    key must not go elsewhere. The body of an error is cut off after some bytes: the SDKs read
    it whole, and nothing else would stop one without an end.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, *, max_error_bytes: int) -> None:
        self._inner = inner
        self._max_error_bytes = max_error_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response once its head has come. Raises httpx2's transport errors."""
        # What is not compressed cannot grow without bounds when it is read.
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        for _ in range(MAX_REDIRECTS):
            target = _target_of(request, response)
            if target is None:
                break
            await response.aclose()
            request = _redirected(request, target)
            response = await self._inner.handle_async_request(request)
        if response.status_code < 400:
            return response
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        is_encoded = response.headers.get("content-encoding", "identity") != "identity"
        limit = 0 if is_encoded else self._max_error_bytes
        return httpx2.Response(
            response.status_code,
            headers=[
                (name, value)
                for name, value in response.headers.raw
                if name.lower() not in (b"content-encoding", b"content-length")
            ],
            stream=_CutOff(response.stream, limit),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


class ClientTransport(httpx2.AsyncBaseTransport):
    """Sends requests by a client of httpx2's, with what it takes from its environment."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._client.send(request, stream=True, follow_redirects=False)

    async def aclose(self) -> None:
        await self._client.aclose()


class _CutOff(httpx2.AsyncByteStream):
    """A body up to a number of bytes; what comes after them is not read."""

    def __init__(self, body: httpx2.AsyncByteStream, limit: int) -> None:
        self._body = body
        self._left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._left:
            return
        async for chunk in self._body:
            yield chunk[: self._left]
            self._left -= len(chunk)
            if self._left <= 0:
                return

    async def aclose(self) -> None:
        await self._body.aclose()


def _target_of(request: httpx2.Request, response: httpx2.Response) -> httpx2.URL | None:
    """Return where *response* sends the same request on the same host, None if it does not."""
    if response.status_code not in (307, 308) or "location" not in response.headers:
        return None
    try:
        target = request.url.join(response.headers["location"])
    except (httpx2.InvalidURL, ValueError):
        return None
    url = request.url
    # From http to https is the usual reason; the other way round would lay the key open.
    is_as_safe = target.scheme == url.scheme or (url.scheme, target.scheme) == ("http", "https")
    is_same_port = target.port == url.port or target.scheme != url.scheme
    return target if target.host == url.host and is_as_safe and is_same_port else None


def _redirected(request: httpx2.Request, target: httpx2.URL) -> httpx2.Request:
    headers = httpx2.Headers(request.headers)
    headers["host"] = target.netloc.decode("ascii")
    return httpx2.Request(
        request.method,
        target,
        headers=headers,
        content=request.content,
        extensions=request.extensions,
    )
