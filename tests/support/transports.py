"""Serves an Echo over each transport, for the tests that must hold on both."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from tests.support.echo import Echo, pb_grpc
from tests.support.serving import connected


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

    def register(server: grpc.aio.Server) -> None:
        pb_grpc.add_EchoServiceServicer_to_server(servicer, server)

    async with connected(transport, register, interceptors=interceptors) as (server, channel):
        yield Connection(stub=pb_grpc.EchoServiceStub(channel), channel=channel, server=server)
