import asyncio

from parley_services.model_router.providers.provider import TextDelta
from parley_services.model_router.stream.stream_buffer import Outbox

from tests.support.waiting import until

LONG = 60.0
"""Seconds that no test waits for: what ends a gathering is something else."""


async def gathering(outbox):
    """Start to gather for a long time and let it begin."""
    task = asyncio.create_task(outbox.gather(LONG))
    await until(lambda: outbox._gathering is not None or task.done())
    return task


async def test_text_is_gathered_and_leaves_as_one():
    outbox = Outbox()
    task = asyncio.create_task(outbox.gather(0.01))
    for text in ("one ", "two ", "three"):
        await outbox.put(TextDelta(text))
    await task
    (event,) = await outbox.take()
    assert event.text == "one two three"


async def test_the_end_is_not_waited_for():
    outbox = Outbox()
    task = await gathering(outbox)
    outbox.close()
    await task


async def test_another_event_leaves_at_once():
    outbox = Outbox()
    task = await gathering(outbox)
    await outbox.put("an event that is no text")
    await task


async def test_text_without_room_leaves_at_once():
    outbox = Outbox()
    task = await gathering(outbox)
    writing = asyncio.create_task(outbox.put(TextDelta("x" * 70_000)))
    await task
    await outbox.take()
    await writing


async def test_what_waits_already_is_not_held():
    outbox = Outbox()
    await outbox.put("an event that is no text")
    await outbox.gather(LONG)
