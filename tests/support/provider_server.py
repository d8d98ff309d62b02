"""A local HTTP server that plays what a provider would send, byte for byte."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.loopback import listening


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One response. Each chunk is sent on its own; `None` drops the connection there."""

    chunks: Sequence[bytes | None] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "text/event-stream"
    hangs: bool = False
    """Whether nothing comes after the chunks, not even an end."""
    raw: bytes = b""
    """What is sent instead of all else: head and body."""
    then: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
    """What goes on after the chunks, until the client hangs up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the server was sent."""

    path: str
    headers: dict[str, str]
    body: dict


class ProviderServer:
    """Plays *replies* one after the other, the last one again and again."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.hung_up = asyncio.Event()
        """Set when a client closed its connection before the response was over."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader, writer) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(
            Request(path=head[0].split()[1], headers=headers, body=json.loads(body or b"{}"))
        )
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        if reply.raw:
            writer.write(reply.raw)
            await writer.drain()
            return False
        fields = {
            "content-type": reply.content_type,
            "transfer-encoding": "chunked",
            **reply.headers,
        }
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{k}: {v}" for k, v in fields.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for chunk in reply.chunks:
            if chunk is None:
                return False
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
            await asyncio.sleep(0)
        if reply.then is not None:
            await reply.then(reader, writer)
        if reply.hangs:
            await reader.read(1)
            self.hung_up.set()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@asynccontextmanager
async def provider_server(*replies: Reply):
    """Serve *replies* on a free port of loopback."""
    played = ProviderServer(*replies)
    async with listening(played.serve) as played.port:
        yield played


def sse(*events: dict | str) -> bytes:
    """Return *events* as a provider frames them: a name where the data has a type."""
    framed = []
    for event in events:
        if isinstance(event, str):
            framed.append(f"data: {event}\n\n")
            continue
        name = f"event: {event['type']}\n" if "type" in event else ""
        framed.append(f"{name}data: {json.dumps(event, ensure_ascii=False)}\n\n")
    return "".join(framed).encode()


def cut_every(data: bytes, size: int) -> list[bytes]:
    """Return *data* in pieces of *size* bytes, wherever that cuts it."""
    return [data[start : start + size] for start in range(0, len(data), size)]
