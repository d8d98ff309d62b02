"""What one task writes and others read."""

import asyncio

import pytest
from parley_services.kit.errors import Overloaded
from parley_services.kit.rpc.stream_buffer import StreamBuffer


async def rest(reader):
    """Return all that *reader* has not had."""
    items = []
    while (item := await reader.next()) is not None:
        items.append(item)
    return items


async def test_a_reader_that_keeps_up_gets_piece_by_piece():
    buffer = StreamBuffer()
    reader = buffer.reader()
    for text in ("a", "b"):
        buffer.put(text)
        assert await reader.next() == text
    buffer.close()
    assert await reader.next() is None


async def test_texts_that_pile_up_are_merged_up_to_the_next_event():
    buffer = StreamBuffer()
    for item in ("a", "b", 1, "c", "d"):
        buffer.put(item)
    buffer.close()
    assert await rest(buffer.reader()) == ["ab", 1, "cd"]


async def test_every_reader_gets_all_of_it():
    buffer = StreamBuffer()
    early = buffer.reader()
    buffer.put("a")
    assert await early.next() == "a"
    late = buffer.reader()
    buffer.put("b")
    buffer.close()
    assert (await rest(early), await rest(late)) == (["b"], ["ab"])


async def test_a_write_wakes_all_that_wait_and_a_cancelled_one_takes_nothing():
    buffer = StreamBuffer()
    readers = [buffer.reader() for _ in range(3)]
    waiting = [asyncio.create_task(reader.next()) for reader in readers]
    await asyncio.sleep(0)
    waiting[0].cancel()
    buffer.put("a")
    assert await asyncio.gather(*waiting[1:]) == ["a", "a"]
    assert await readers[0].next() == "a"


@pytest.mark.parametrize("items", [["abc", "d"], [1, 2, 3]])
async def test_it_is_bounded(items):
    buffer = StreamBuffer(limit_characters=3, limit_items=2)
    with pytest.raises(Overloaded):
        for item in items:
            buffer.put(item)


async def test_an_abandoned_one_keeps_nothing():
    buffer = StreamBuffer(limit_characters=3)
    buffer.put("abc")
    buffer.abandon()
    buffer.put("defg")
    assert buffer.items == []
