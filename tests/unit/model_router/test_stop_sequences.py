import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.message import ToolCall
from parley_services.model_router.providers.provider import (
    Finished,
    ProviderCall,
    TextDelta,
    ToolCallDone,
)
from parley_services.model_router.providers.stop_sequences import StoppingStream, StopScanner

from tests.support.model_router import ScriptedProvider
from tests.unit.model_router.conftest import model, request_for

CALL = ToolCallDone(ToolCall(id="c", name="find", arguments_json="{}"))
END = Finished(FinishReason.TOOL_CALL)


def plainly_stopped(text, stops):
    for end in range(len(text) + 1):
        if matched := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, matched))]
    return text


@given(
    text=st.text("ab\n", max_size=30),
    stops=st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 5), min_size=1),
)
def test_text_ends_before_the_first_stop_however_it_is_cut(text, stops, sizes):
    scanner, released, start = StopScanner(stops), "", 0
    for n in range(len(text)):
        size = sizes[n % len(sizes)]
        released += scanner.feed(text[start : start + size])
        assert plainly_stopped(text, stops).startswith(released)
        start += size
    assert released + scanner.flush() == plainly_stopped(text, stops)
    assert scanner.found == any(stop in text for stop in stops)


def test_text_that_cannot_become_a_stop_is_not_held_back():
    scanner = StopScanner(["\nUser:"])
    assert scanner.feed("a quay") == "a quay"
    assert scanner.feed(" is\n") == " is"
    assert scanner.feed("a wall") == "\na wall"


async def read(script, stops):
    provider = ScriptedProvider(script)
    call = ProviderCall(model=model("m").traits, request=request_for())
    stream = StoppingStream(await provider.open(call), stops)
    events = []
    while not events or not isinstance(events[-1], Finished):
        events += await stream.read()
    await stream.aclose()
    assert provider.open_streams == 0
    return events, stream


async def test_an_answer_ends_at_a_stop_and_the_rest_is_not_read():
    events, stream = await read(["one ", "tw", "o EN", "D three"], ["END"])
    assert events == [
        TextDelta("one "),
        TextDelta("tw"),
        TextDelta("o "),
        Finished(FinishReason.STOP),
    ]
    assert stream.usage is None or not stream.usage.is_final


@pytest.mark.parametrize("last", [CALL, END])
async def test_what_was_held_back_comes_before_what_is_not_text(last):
    script = ["one E", CALL, END] if last is CALL else ["one E", END]
    events, _ = await read(script, ["END"])
    assert events[:3] == [TextDelta("one "), TextDelta("E"), last]
