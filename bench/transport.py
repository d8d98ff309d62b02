"""
What a call costs: CPU microseconds per unary call and per streamed message.

Runs client and server in this process, over TCP and in process, each with the
interceptors that every service has. Usage: python -m bench.transport [--uvloop]
"""

import argparse
import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import uvloop
from parley_services.kit import log
from parley_services.kit.rpc.in_process import InProcessChannel, InProcessServer
from parley_services.kit.rpc.interceptors import interceptors_for_tcp, interceptors_in_process

from tests.support.echo import Echo, echo, pb, pb_grpc

UNARY_CALLS = {"tcp": 3_000, "in_process": 30_000}
STREAMS = {"tcp": 20, "in_process": 300}
MESSAGES_PER_STREAM = 200
REPEATS = 3

REQUEST_METADATA = (("x-request-id", "bench"),)


async def write_by_context(request, context):
    for index in range(request.count):
        await context.write(pb.DownloadResponse(text=request.text, index=index))


async def write_one_by_one(request, context):
    for index in range(request.count):
        await asyncio.sleep(0)
        yield pb.DownloadResponse(text=request.text, index=index)


@contextlib.asynccontextmanager
async def serving(transport: str, servicer: Echo, intercepted: bool) -> AsyncIterator[object]:
    """Yield a stub of *servicer* over *transport*."""
    if transport == "tcp":
        server = grpc.aio.server(interceptors=interceptors_for_tcp() if intercepted else ())
        port = server.add_insecure_port("127.0.0.1:0")
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    else:
        server = InProcessServer(interceptors=interceptors_in_process() if intercepted else ())
        channel = InProcessChannel(server)
    pb_grpc.add_EchoServiceServicer_to_server(servicer, server)
    await server.start()
    async with channel:
        yield pb_grpc.EchoServiceStub(channel)
    await server.stop(None)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def microseconds(work: Callable[[], Awaitable[None]], count: int) -> float:
    """Return the least CPU microseconds of *work* per item, over a few runs."""
    best = float("inf")
    for _ in range(REPEATS):
        started = cpu_seconds()
        await work()
        best = min(best, (cpu_seconds() - started) / count * 1e6)
    return best


async def measure(transport: str, intercepted: bool) -> dict[str, float]:
    calls, streams = UNARY_CALLS[transport], STREAMS[transport]
    unary = pb.UnaryRequest(text="x" * 500)
    download = pb.DownloadRequest(text="token", count=MESSAGES_PER_STREAM)

    def calling(**arguments: object) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            for _ in range(calls):
                await stub.Unary(unary, **arguments)

        return work

    async def streaming() -> None:
        for _ in range(streams):
            async for _message in stub.Download(download, timeout=60):
                pass

    messages = streams * MESSAGES_PER_STREAM
    results = {}
    async with serving(transport, Echo(), intercepted) as stub:
        results["unary"] = await microseconds(calling(), calls)
        results["unary, timeout"] = await microseconds(calling(timeout=5), calls)
        results["unary, timeout, metadata"] = await microseconds(
            calling(timeout=5, metadata=REQUEST_METADATA), calls
        )
        results["message, generator"] = await microseconds(streaming, messages)
    async with serving(transport, echo(Download=write_by_context), intercepted) as stub:
        results["message, context.write"] = await microseconds(streaming, messages)
    async with serving(transport, echo(Download=write_one_by_one), intercepted) as stub:
        results["message, reader keeps up"] = await microseconds(streaming, messages)
    return results


async def main() -> None:
    with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230 - nothing waits for it
        log.configure("info", stream=nowhere)
        await report()


async def report() -> None:
    columns = {}
    for transport in ("tcp", "in_process"):
        for intercepted in (False, True):
            name = transport + (" +interceptors" if intercepted else "")
            columns[name] = await measure(transport, intercepted)
    lines = [f"{'CPU us':28}" + "".join(f"{name:>28}" for name in columns)]
    for row in next(iter(columns.values())):
        lines.append(f"{row:28}" + "".join(f"{each[row]:28.1f}" for each in columns.values()))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop, as services do")
    if parser.parse_args().uvloop:
        uvloop.run(main())
    else:
        asyncio.run(main())
