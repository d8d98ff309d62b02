"""Two openings at once, of which one answers."""

import asyncio
from collections.abc import Awaitable, Callable

from parley_services.kit.chat.attempt import AttemptOutcome
from parley_services.model_router.attempt.failures import ProviderError
from parley_services.model_router.attempt.live_attempt import LiveAttempt
from parley_services.model_router.attempt.open_attempts import OpenAttempts


async def first_to_begin(
    first: LiveAttempt,
    *,
    after: Awaitable[None],
    open_second: Callable[[], Awaitable[LiveAttempt | None]],
    attempts: OpenAttempts,
) -> LiveAttempt:
    """
    Open *first*, and what *open_second* returns if it has not begun *after* a while.

    Returns the one that began to answer. The other one's opening was cancelled, and with it
    its connection; it is still among the open *attempts* unless it failed. Raises what
    *first* raised if neither began, and DeadlinePassed as soon as one does. On cancel both
    are cancelled.
    """
    waiting = asyncio.ensure_future(after)
    opening = {asyncio.create_task(first.open()): first}
    failure: ProviderError | None = None
    try:
        await asyncio.wait({waiting, *opening}, return_when=asyncio.FIRST_COMPLETED)
        if not any(task.done() for task in opening) and (second := await open_second()) is not None:
            opening[asyncio.create_task(second.open())] = second
        while opening:
            await asyncio.wait(opening, return_when=asyncio.FIRST_COMPLETED)
            # In the order in which they were asked: of two that began at once the first wins.
            for task in [each for each in opening if each.done()]:
                live = opening.pop(task)
                try:
                    task.result()
                except ProviderError as error:
                    await attempts.end(live, AttemptOutcome.FAILED, error)
                    failure = error if live is first else failure
                else:
                    return live
        assert failure is not None
        raise failure
    finally:
        left = [waiting, *opening]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
