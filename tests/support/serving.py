"""Serves any servicer over each transport, with or without what a process puts around it."""

from contextlib import asynccontextmanager

import grpc
from parley_services.kit.rpc.in_process import InProcessChannel, InProcessServer
from parley_services.kit.rpc.interceptors import interceptors_for_tcp, interceptors_in_process

TRANSPORTS = ("tcp", "in_process")


@asynccontextmanager
async def connected(transport, register, *, interceptors=()):
    """Serve what *register* adds to a server over *transport*; yield the server and a channel."""
    if transport == "tcp":
        server = grpc.aio.server(interceptors=interceptors)
        port = server.add_insecure_port("127.0.0.1:0")
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    else:
        server = InProcessServer(interceptors=interceptors)
        channel = InProcessChannel(server)
    register(server)
    await server.start()
    try:
        yield server, channel
    finally:
        await channel.close()
        await server.stop(None)


@asynccontextmanager
async def served(transport, register):
    """Serve *register* with what a process of Parley puts around it; yield a channel."""
    interceptors = our_interceptors(transport)
    async with connected(transport, register, interceptors=interceptors) as (_, channel):
        yield channel


def our_interceptors(transport):
    """Return what a process of Parley puts around every RPC of *transport*."""
    return interceptors_for_tcp() if transport == "tcp" else interceptors_in_process()
