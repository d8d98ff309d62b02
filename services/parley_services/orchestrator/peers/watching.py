"""A stream of a peer's changes that is opened again whenever it ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from parley_services.kit.background import Backoff, running
from parley_services.orchestrator.peers.calling import failure

WATCH_SECONDS = 600.0
"""Length of one watch. It is then opened again, so that a half-open connection is noticed."""

PAUSES = Backoff(first_seconds=0.2, max_seconds=5.0)


@asynccontextmanager
async def watching(
    peer: str,
    call: Callable[[float], Any],
    take: Callable[[Any], None],
    *,
    lost: Callable[[], None] = lambda: None,
) -> AsyncIterator[None]:
    """
    Hand every message of *call* to *take* while the context lasts.

    *call* opens the stream, given its timeout in seconds. *lost* is called each time it ended:
    what was learned may be stale from then on, until the next message.
    """

    async def watch() -> None:
        stream = call(WATCH_SECONDS)
        try:
            async for message in stream:
                take(message)
                await well()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise failure(error, peer) from None
        finally:
            stream.cancel()
            lost()

    async with running(watch, name=f"watch_{peer}", backoff=PAUSES) as well:
        yield
