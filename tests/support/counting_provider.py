"""A provider that outlives the suite and counts what it produced, for each call."""

import asyncio
import json
import random
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley_services.kit.chat.usage import Usage

from tests.support.loopback import listening

WORD = " tide"
"""What answers are made of; one token in every vocabulary."""

_MARK = re.compile(r"mark ([a-p]{32})")


def mark_of(request_id):
    """Return what stands for *request_id* in a question: letters only, so no rule redacts it."""
    return "mark " + "".join(
        chr(ord("a") + int(digit, 16)) for digit in request_id.replace("-", "")
    )


@dataclass(slots=True)
class Call:
    """One call as the provider saw it. All that is counted here was sent, or about to be."""

    mark: str
    input_token_count: int
    written: int = 0
    """Words that went to the socket."""
    usage: Usage | None = None
    """What the last chunk said; None if the stream never got there."""
    failed: bool = False
    """Whether it was refused before any text."""


class CountingProvider:
    """Speaks OpenAI's Chat Completions. Fails and cuts at the rates given, from a seed."""

    def __init__(self, *, seed, failure_rate, cut_rate, word_seconds):
        self.calls: list[Call] = []
        self.written = 0
        """Words of all calls."""
        self.port = 0
        self._draw = random.Random(seed)
        self._failure_rate = failure_rate
        self._cut_rate = cut_rate
        self._word_seconds = word_seconds
        self._grown = asyncio.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    async def until_written(self, count):
        """Return once *count* words have been written in all."""
        while self.written < count:
            self._grown.clear()
            await self._grown.wait()

    async def serve(self, reader, writer):
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = int(re.search(r"content-length: (\d+)", head)[1])
        body = json.loads(await reader.readexactly(size))
        text = json.dumps(body["messages"])
        call = Call(mark=_MARK.search(text)[0], input_token_count=len(text) // 4)
        self.calls.append(call)
        if self._draw.random() < self._failure_rate:
            call.failed = True
            writer.write(b"HTTP/1.1 503 X\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
            return True
        writer.write(
            b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        count = self._draw.randint(5, 60)
        cut_at = self._draw.randrange(count) if self._draw.random() < self._cut_rate else None
        for number in range(count):
            if number == cut_at:
                return False
            # Counted before it is sent, so that nothing is sent uncounted.
            call.written += 1
            self.written += 1
            self._grown.set()
            _send(writer, {"choices": [{"index": 0, "delta": {"content": WORD}}]})
            await writer.drain()
            await asyncio.sleep(self._word_seconds)
        call.usage = Usage(input_token_count=call.input_token_count, output_token_count=count)
        _send(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {
            "prompt_tokens": call.input_token_count,
            "completion_tokens": count,
            "total_tokens": call.input_token_count + count,
        }
        _send(writer, {"choices": [], "usage": usage})
        done = b"data: [DONE]\n\n"
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done))
        await writer.drain()
        return True


def _send(writer, chunk):
    chunk = {"id": "c1", "object": "chat.completion.chunk", "model": "m", **chunk}
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


@asynccontextmanager
async def counting_provider(**behaviour):
    """Serve a `CountingProvider` on a free port of loopback."""
    provider = CountingProvider(**behaviour)
    async with listening(provider.serve) as provider.port:
        yield provider
