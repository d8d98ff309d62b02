"""Streams of servers that are only nearly compatible."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.message import ToolCall
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.finish_reasons import (
    BROKEN_OFF,
    FINISH_REASONS,
    finish_reason_of,
    stronger,
)
from parley_services.model_router.providers.openai.chat_decoder import ChatDecoder
from parley_services.model_router.providers.provider import (
    Alive,
    Finished,
    Logprobs,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)


def chunk(delta=None, finish=None, **choice):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish, **choice}
    return {"id": "c1", "choices": [choice]}


def fragment(index=None, id=None, name=None, arguments=None, **more):
    call = {"index": index, "id": id, "function": {"name": name, "arguments": arguments}, **more}
    return chunk({"tool_calls": [call]})


def frames(*events):
    return b"".join(
        b"data: "
        + (event.encode() if isinstance(event, str) else json.dumps(event).encode())
        + b"\n\n"
        for event in events
    )


def decoded(*events, size=None, done=True, decoder=None):
    """Return the events of a stream, cut into pieces of *size*, adjacent text joined."""
    data = frames(*events, *(["[DONE]"] if done else []))
    decoder = decoder or ChatDecoder()
    found = []
    size = size or len(data)
    for start in range(0, len(data), size):
        found += decoder.feed(data[start : start + size])
        if decoder.failure is not None:
            raise decoder.failure
    if not isinstance(found[-1], Finished):
        found += decoder.finish()
    joined = []
    for event in found:
        if isinstance(event, Alive):
            continue
        if joined and isinstance(event, TextDelta) and isinstance(joined[-1], TextDelta):
            joined[-1] = TextDelta(joined[-1].text + event.text)
        else:
            joined.append(event)
    return joined


def called(id, name, arguments):
    return ToolCallDone(ToolCall(id=id, name=name, arguments_json=arguments))


TOOLS = Finished(FinishReason.TOOL_CALL)


@pytest.mark.parametrize("size", [None, 1, 7])
def test_a_new_id_at_a_used_index_opens_a_call(size):
    assert decoded(
        fragment(0, "call_a", "find", '{"q": 1}'),
        fragment(0, "call_b", "find", '{"q": 2}'),
        chunk(finish="tool_calls"),
        size=size,
    ) == [called("call_a", "find", '{"q": 1}'), called("call_b", "find", '{"q": 2}'), TOOLS]


@pytest.mark.parametrize(
    "fragments",
    [
        # By the letter.
        [(0, "a", "f", '{"x"'), (0, None, None, ": 1}"), (1, "b", "g", "{}")],
        # Interleaved.
        [(0, "a", "f", '{"x"'), (1, "b", "g", "{}"), (0, None, None, ": 1}")],
        # Id and name with each fragment.
        [(0, "a", "f", '{"x"'), (0, "a", "f", ": 1}"), (1, "b", "g", "{}")],
        # No index.
        [(None, "a", "f", '{"x"'), (None, None, None, ": 1}"), (None, "b", "g", "{}")],
        # One index, ids.
        [(0, "a", "f", '{"x"'), (0, None, None, ": 1}"), (0, "b", "g", "{}")],
        # One index, and an id that is drawn anew for each fragment.
        [(0, "a", "f", '{"x"'), (0, "a2", None, ": 1}"), (0, "b", "g", "{}")],
        # Arguments that are no text.
        [(0, "a", "f", '{"x": 1}'), (1, "b", "g", {})],
    ],
)
def test_fragments_find_their_calls(fragments):
    events = decoded(*(fragment(*each) for each in fragments), chunk(finish="tool_calls"))
    assert events == [called("a", "f", '{"x": 1}'), called("b", "g", "{}"), TOOLS]


def test_calls_without_ids_at_one_index_are_two():
    events = decoded(
        fragment(0, None, "f", '{"x": 1}'),
        fragment(0, None, "f", '{"x": 2}'),
        chunk(finish="tool_calls"),
    )
    assert [event.call.arguments_json for event in events[:-1]] == ['{"x": 1}', '{"x": 2}']
    assert len({event.call.id for event in events[:-1]}) == 2


def test_an_old_function_call_is_a_tool_call():
    events = decoded(
        chunk({"function_call": {"name": "f", "arguments": '{"x":'}}),
        chunk({"function_call": {"arguments": "1}"}}),
        chunk(finish="function_call"),
    )
    assert [(event.call.name, event.call.arguments_json) for event in events[:-1]] == [
        ("f", '{"x":1}')
    ]


@pytest.mark.parametrize(
    ("reasons", "finish"),
    [
        (["tool_calls", "stop"], FinishReason.TOOL_CALL),
        (["stop", "tool_calls"], FinishReason.TOOL_CALL),
        (["stop"], FinishReason.TOOL_CALL),
        (["stop", "content_filter"], FinishReason.CONTENT_FILTER),
        (["length", "stop"], FinishReason.LENGTH),
        (["tool_calls", "error"], FinishReason.TOOL_CALL),
    ],
)
def test_of_several_reasons_the_strongest_counts(reasons, finish):
    events = decoded(fragment(0, "a", "f", "{}"), *(chunk(finish=reason) for reason in reasons))
    assert events == [called("a", "f", "{}"), Finished(finish)]


@pytest.mark.parametrize("reason", ["abort", "error", "ABORT"])
def test_an_engine_that_aborts_has_not_ended_its_answer(reason):
    with pytest.raises(ProviderError) as caught:
        decoded(chunk({"content": "The first half of"}), chunk(finish=reason))
    assert caught.value.kind in (FailureKind.CUT, FailureKind.SERVER_ERROR)


def test_an_unknown_reason_does_not_mean_done():
    text, last = decoded(chunk({"content": "Half"}), chunk(finish="Tired" * 100))
    assert text == TextDelta("Half")
    assert last == Finished(FinishReason.OTHER)
    assert last.provider_reason == ("Tired" * 100)[:64]


def test_an_operator_knows_the_words_of_his_server():
    decoder = ChatDecoder({"fertig": FinishReason.STOP})
    assert decoded(chunk({"content": "a"}), chunk(finish="Fertig"), decoder=decoder) == [
        TextDelta("a"),
        Finished(FinishReason.STOP),
    ]


@pytest.mark.parametrize("word", [*FINISH_REASONS, *map(str.upper, FINISH_REASONS)])
def test_known_words_mean_what_they_say(word):
    assert finish_reason_of(word, {}) is FINISH_REASONS[word.lower()]


@pytest.mark.parametrize("word", BROKEN_OFF)
def test_words_of_failure_are_failures(word):
    with pytest.raises(ProviderError):
        finish_reason_of(word, {})


def test_strength_is_the_same_both_ways_round():
    for one in FinishReason:
        for other in FinishReason:
            if FinishReason.BUDGET not in (one, other):  # Never a provider's.
                assert stronger(one, other) is stronger(other, one)


@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([r"Hi \ud83d", r"\ude00 bye"], "Hi 😀 bye"),
        ([r"\ud83d", r"\ude00"], "😀"),
        ([r"Hi \ud83d", " bye"], "Hi \ufffd bye"),
        ([r"Hi \ude00 bye"], "Hi \ufffd bye"),
        ([r"Hi \ud83d"], "Hi \ufffd"),
        ([r"a", r"\ud83d\ude00", "b"], "a😀b"),
    ],
)
def test_halves_of_a_character_are_joined(pieces, text, size):
    texts = [
        '{"choices": [{"index": 0, "delta": {"content": "' + piece + '"}}]}' for piece in pieces
    ]
    events = decoded(*texts, chunk(finish="stop"), size=size)
    assert events == [TextDelta(text), Finished(FinishReason.STOP)]


@given(text=st.text(min_size=1, max_size=12), data=st.data())
def test_text_cut_into_utf_16_units_is_whole_again(text, data):
    units = text.encode("utf-16-le", "surrogatepass")
    pieces, position = [], 0
    while position < len(units):
        length = 2 * data.draw(st.integers(1, 4))
        pieces.append(units[position : position + length].decode("utf-16-le", "surrogatepass"))
        position += length
    events = decoded(*(chunk({"content": piece}) for piece in pieces), chunk(finish="stop"))
    assert events == [TextDelta(text), Finished(FinishReason.STOP)]


def test_halves_in_arguments_are_joined():
    events = decoded(
        '{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a", '
        '"function": {"name": "f", "arguments": "{\\"x\\": \\"\\ud83d"}}]}}]}',
        '{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, '
        '"function": {"arguments": "\\ude00\\"}"}}]}}]}',
        chunk(finish="tool_calls"),
    )
    assert events == [called("a", "f", '{"x": "😀"}'), TOOLS]


@pytest.mark.parametrize("number", ["-Infinity", "NaN", "null", '"low"'])
def test_an_odd_log_probability_costs_no_answer(number):
    odd = (
        '{"choices": [{"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": '
        '[{"token": "Hi", "logprob": ' + number + ', "top_logprobs": []}, {"bytes": 1}]}}]}'
    )
    text, logprobs, last = decoded(odd, chunk(finish="stop"))
    assert (text, last) == (TextDelta("Hi"), Finished(FinishReason.STOP))
    assert isinstance(logprobs, Logprobs)
    assert [(each.token, each.logprob) for each in logprobs.tokens] == [("Hi", -9999.0)]


def test_fragments_of_arguments_are_life_and_are_counted():
    decoder = ChatDecoder()
    assert decoder.feed(frames(fragment(0, "a", "f", '{"x": "long'))) == [Alive(wrote=True)]
    assert decoder.feed(frames(fragment(0, None, None, " text"))) == [Alive(wrote=True)]
    assert decoder.feed(b": ping\n\n") == [Alive(wrote=False)]
    assert decoder.feed(b"data: {") == [Alive(wrote=False)]
    assert decoder.unfinished == '{"x": "long text'


def test_what_comes_after_the_end_changes_nothing():
    decoder = ChatDecoder()
    events = decoder.feed(
        frames(chunk({"content": "a"}), chunk(finish="stop"), "[DONE]", chunk({"content": "b"}))
    )
    assert events == [TextDelta("a"), Finished(FinishReason.STOP)]


def test_reasoning_has_many_names():
    for name in ("reasoning", "reasoning_content"):
        events = decoded(chunk({name: "hm"}), chunk({"content": "a"}), chunk(finish="stop"))
        assert events == [ReasoningDelta("hm"), TextDelta("a"), Finished(FinishReason.STOP)]
