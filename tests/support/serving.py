"""Serves any servicer of Parley over each transport, with what a process puts around it."""

from contextlib import asynccontextmanager

import grpc

from services.kit.in_process import InProcessChannel, InProcessServer
from services.kit.interceptors import interceptors_for_tcp, interceptors_in_process

TRANSPORTS = ("tcp", "in_process")


@asynccontextmanager
async def served(transport, register):
    """Serve what *register* adds to a server over *transport*; yield a channel to it."""
    if transport == "tcp":
        server = grpc.aio.server(interceptors=interceptors_for_tcp())
        port = server.add_insecure_port("127.0.0.1:0")
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    else:
        server = InProcessServer(interceptors=interceptors_in_process())
        channel = InProcessChannel(server)
    register(server)
    await server.start()
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop(None)
