"""
What a streamed chunk and a request cost the router, in CPU time.

`python -m bench.router_stream` serves a stream from another process over loopback and reads
it through the adapters: once with a pause after each chunk, so that each is a wake-up of its
own, and once as fast as it comes. The SDK's own stream is beside it for comparison. It also
times the decoders alone, and a whole call of the router without a network.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import openai
import uvloop
from parley_services.kit.chat.message import Message, Role
from parley_services.model_router.app import open_model_router
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.anthropic.messages_decoder import MessagesDecoder
from parley_services.model_router.providers.http.connection import HttpConnection
from parley_services.model_router.providers.http.transport import StreamingTransport
from parley_services.model_router.providers.openai.chat_decoder import ChatDecoder
from parley_services.model_router.providers.openai.openai_provider import OpenAIProvider
from parley_services.model_router.providers.provider import Finished, ModelTraits, ProviderCall
from parley_services.model_router.settings import ModelRouterSettings
from parley_services.model_router.stream.events import RouterEvent
from rich.console import Console
from rich.table import Table

from bench.router_failover import Registry

CHUNKS = 400
ROUNDS = 10
REQUESTS = 2000
PAUSE_SECONDS = 0.0005

CHAT_CHUNK = (
    b'data: {"id":"chatcmpl-AbCdEf","object":"chat.completion.chunk","created":1721075653,'
    b'"model":"gpt-4o","system_fingerprint":"fp_5bc9","choices":[{"index":0,"delta":{"content":'
    b'" word"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"abcdef"}\n\n'
)
MESSAGES_CHUNK = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" word"}}\n\n'
)
END = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


def serve(port_sent: Any, pause_seconds: float) -> None:
    """Play one stream after another until killed."""
    asyncio.run(_serve(port_sent, pause_seconds))


async def _serve(port_sent: Any, pause_seconds: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            lines = head.lower().split(b"\r\n")
            length = next(int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length"))
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
            writer.write(b"transfer-encoding: chunked\r\n\r\n")
            for _ in range(CHUNKS):
                writer.write(b"%x\r\n%s\r\n" % (len(CHAT_CHUNK), CHAT_CHUNK))
                if pause_seconds:
                    await writer.drain()
                    await asyncio.sleep(pause_seconds)
            writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(END), END))
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port_sent.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def call() -> ProviderCall:
    """Return a call of usual size."""
    return ProviderCall(
        model=ModelTraits(name="gpt-4o", max_output_token_count=1000),
        request=GenerationRequest(
            request_id="r", messages=(Message(role=Role.USER, text="x" * 400),)
        ),
    )


async def through_adapter(
    port: int, transport: httpx2.AsyncBaseTransport | None = None
) -> Callable[[], Awaitable[None]]:
    """Return what reads one stream through the adapter, over our own transport."""
    client = httpx2.AsyncClient(timeout=10, transport=transport or StreamingTransport())
    provider = OpenAIProvider(http_client=client, base_url=f"http://127.0.0.1:{port}/v1")

    async def read() -> None:
        stream = await provider.open(call())
        while not isinstance((await stream.read())[-1], Finished):
            pass
        await stream.aclose()

    return read


async def bare(port: int) -> Callable[[], Awaitable[None]]:
    """Return what only takes one stream's bytes off the socket: the floor."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(HttpConnection, "127.0.0.1", port)
    request = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"

    async def read() -> None:
        connection.send(request)
        while not (await connection.receive(None)).endswith(b"0\r\n\r\n"):
            pass

    return read


async def over_httpx2(port: int) -> Callable[[], Awaitable[None]]:
    """Return what reads one stream through the adapter, over httpx2's transport."""
    return await through_adapter(port, httpx2.AsyncHTTPTransport())


async def through_sdk(port: int) -> Callable[[], Awaitable[None]]:
    """Return what reads one stream through the SDK's own model objects."""
    client = openai.AsyncOpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)

    async def read() -> None:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "x" * 400}], stream=True
        )
        async for _ in stream:
            pass

    return read


async def cpu_us_per_chunk(read: Callable[[], Awaitable[None]]) -> float:
    """Return the CPU time of this process for each chunk."""
    await read()
    start = time.process_time()
    for _ in range(ROUNDS):
        await read()
    return (time.process_time() - start) / (ROUNDS * CHUNKS) * 1e6


def decoder_us_per_chunk(decoder: Callable[[], Any], chunk: bytes) -> float:
    """Return the CPU time of a decoder alone for each chunk."""
    made = decoder()
    start = time.process_time()
    for _ in range(20_000):
        made.feed(chunk)
    return (time.process_time() - start) / 20_000 * 1e6


async def ms_per_request() -> float:
    """Return the CPU time of a whole call of the router whose provider answers at once."""
    registry, request = Registry(), call().request
    settings = ModelRouterSettings(
        simulate="always",
        simulated_answer="ok",
        simulated_first_token_seconds=0,
        simulated_token_seconds=0,
    )

    async def drop(event: RouterEvent) -> None:
        return None

    async with open_model_router(settings) as register:
        register(registry)  # type: ignore[arg-type]
        start = time.process_time()
        for _ in range(REQUESTS):
            await registry.router.start(request, timeout_seconds=60).run(drop)
        return (time.process_time() - start) / REQUESTS * 1000


def main() -> None:
    """Print the table."""
    table = Table("what", "CPU µs a chunk")
    table.add_row("decoder alone, chat", f"{decoder_us_per_chunk(ChatDecoder, CHAT_CHUNK):.1f}")
    alone = decoder_us_per_chunk(MessagesDecoder, MESSAGES_CHUNK)
    table.add_row("decoder alone, messages", f"{alone:.1f}")
    assert json.loads(CHAT_CHUNK[6:])
    for name, pause in (("each chunk a wake-up", PAUSE_SECONDS), ("as fast as it comes", 0.0)):
        port_read, port_sent = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=serve, args=(port_sent, pause), daemon=True)
        process.start()
        port = port_read.recv()
        try:
            for label, reader in (
                ("bare socket", bare),
                ("adapter", through_adapter),
                ("adapter over httpx2's transport", over_httpx2),
                ("SDK's objects", through_sdk),
            ):

                async def measure(reader: Any = reader, port: int = port) -> float:
                    return await cpu_us_per_chunk(await reader(port))

                table.add_row(f"{label}, {name}", f"{uvloop.run(measure()):.1f}")
        finally:
            process.kill()
            process.join()
    Console().print(table)
    Console().print(f"{asyncio.run(ms_per_request()):.2f} ms CPU a request, without a network")


if __name__ == "__main__":
    main()
