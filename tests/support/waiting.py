"""Waits for something that other tasks bring about."""

import asyncio

LIMIT_SECONDS = 60.0
"""When a test is given up; nothing is measured by it."""


async def until(condition):
    """Let other tasks run until *condition* returns something true, and return that."""
    async with asyncio.timeout(LIMIT_SECONDS):
        # The condition may be anything, so that there is no event to wait for.
        while not (result := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        return result


async def eventually(attempt):
    """Call the async *attempt* again and again until it returns something true; return that."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (result := await attempt()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return result
