"""How long a step of a task may take."""

import asyncio

import pytest
from parley_services.kit.rpc.step_timeout import StepTimeout


class TooSlow(Exception):
    """A step took too long."""


async def within(watch, step, seconds):
    watch.begin(seconds)
    try:
        return await step
    except asyncio.CancelledError:
        if watch.expired():
            raise TooSlow from None
        raise
    finally:
        watch.end()


@pytest.fixture
async def watch():
    watch = StepTimeout()
    yield watch
    watch.close()


async def test_a_quick_step_passes(watch):
    assert await within(watch, asyncio.sleep(0, "done"), 10) == "done"


async def test_a_slow_step_is_cut_and_the_task_is_not_cancelled(watch):
    for _ in range(2):
        with pytest.raises(TooSlow):
            await within(watch, asyncio.Event().wait(), 0.01)
    assert asyncio.current_task().cancelling() == 0


async def test_each_step_has_its_own_limit(watch):
    await within(watch, asyncio.sleep(0), 60)
    with pytest.raises(TooSlow):
        await within(watch, asyncio.Event().wait(), 0.01)


async def test_between_steps_nothing_is_cut(watch):
    await within(watch, asyncio.sleep(0), 0.01)
    await asyncio.sleep(0.03)


async def test_a_cancel_from_elsewhere_goes_through(watch):
    task = asyncio.create_task(within(watch, asyncio.Event().wait(), 10))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
