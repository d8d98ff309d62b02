"""Serves an Echo over each transport, for the tests that must hold on both."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from services.kit.in_process import InProcessChannel, InProcessServer
from services.kit.interceptors import interceptors_for_tcp, interceptors_in_process
from tests.support.echo import Echo, pb_grpc

TRANSPORTS = ("tcp", "in_process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An Echo and a way to it."""

    stub: Any
    channel: grpc.aio.Channel
    server: grpc.aio.Server


@asynccontextmanager
async def serving(
    transport: str,
    servicer: Echo,
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
) -> AsyncIterator[Connection]:
    """Serve *servicer* over *transport* and yield a connection to it."""
    server: grpc.aio.Server
    channel: grpc.aio.Channel
    if transport == "tcp":
        server = grpc.aio.server(interceptors=interceptors)
        port = server.add_insecure_port("127.0.0.1:0")
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    else:
        server = InProcessServer(interceptors=interceptors)
        channel = InProcessChannel(server)
    pb_grpc.add_EchoServiceServicer_to_server(servicer, server)
    await server.start()
    try:
        yield Connection(stub=pb_grpc.EchoServiceStub(channel), channel=channel, server=server)
    finally:
        await channel.close()
        await server.stop(None)


def our_interceptors(transport: str) -> Sequence[grpc.aio.ServerInterceptor]:
    """Return what a process of Parley puts around every RPC of *transport*."""
    return interceptors_for_tcp() if transport == "tcp" else interceptors_in_process()
