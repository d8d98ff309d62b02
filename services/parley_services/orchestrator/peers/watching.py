"""A stream of a peer's changes that is opened again whenever it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog

log = structlog.get_logger()

WATCH_SECONDS = 600.0
"""Length of one watch. It is then opened again, so that a half-open connection is noticed."""

FIRST_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 5.0


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
    task = asyncio.create_task(_watch(peer, call, take, lost))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _watch(
    peer: str, call: Callable[[float], Any], take: Callable[[Any], None], lost: Callable[[], None]
) -> None:
    pause = FIRST_PAUSE_SECONDS
    while True:
        stream = call(WATCH_SECONDS)
        try:
            async for message in stream:
                take(message)
                pause = FIRST_PAUSE_SECONDS
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                log.debug("watch_ended", peer=peer, code=error.code().name)
        finally:
            stream.cancel()
            lost()
        await asyncio.sleep(pause)
        pause = min(MAX_PAUSE_SECONDS, pause * 2)
