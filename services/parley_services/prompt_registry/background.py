"""What the registry does by itself, over and over. Imports neither grpc nor protobuf."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from parley_services.kit.errors import ServiceError

log = structlog.get_logger()

Say = Callable[[bool], Awaitable[None]]
"""Is told whether the service can answer."""


@asynccontextmanager
async def every(
    seconds: float, action: Callable[[], Awaitable[object]], *, say: Say | None = None
) -> AsyncIterator[None]:
    """
    Run *action* every so many *seconds* while the context lasts.

    An action that fails is logged and tried again; *say* hears whether the last one went
    well, when that changes.
    """

    async def loop() -> None:
        well = True
        while True:
            await asyncio.sleep(seconds)
            try:
                await action()
            except ServiceError as error:
                log.warning("upkeep_failed", reason=error.reason)
                now_well = False
            except Exception:
                log.exception("upkeep_failed")
                now_well = False
            else:
                now_well = True
            if say is not None and now_well is not well:
                await say(now_well)
            well = now_well

    async with running(loop()):
        yield


@asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    """Run *work* in a task of its own while the context lasts; cancel it at the end."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
