"""What is booked of what providers say: figures that cannot be are never believed."""

import json
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.chat.usage import Usage
from parley_services.kit.models.prices import Price, Rates
from parley_services.model_router.attempt.reconciliation import OwnCount, reconcile
from parley_services.model_router.providers.anthropic.messages_decoder import MessagesDecoder
from parley_services.model_router.providers.anthropic.messages_usage import (
    read_usage as read_messages,
)
from parley_services.model_router.providers.openai.chat_decoder import ChatDecoder
from parley_services.model_router.providers.openai.chat_usage import read_usage as read_chat
from parley_services.model_router.providers.openai.responses_usage import (
    read_usage as read_responses,
)
from parley_services.model_router.providers.reported_usage import token_count_of

from tests.support.provider_server import sse

PRICE = Price(
    rates=Rates(
        input_nano_usd_per_million=1000 * 10**6,
        cached_input_nano_usd_per_million=100 * 10**6,
        cache_write_nano_usd_per_million=1250 * 10**6,
        cache_write_1h_nano_usd_per_million=2000 * 10**6,
        output_nano_usd_per_million=10_000 * 10**6,
    )
)


def own(input_=46, output=201, reasoning=0, estimated=False):
    return OwnCount(
        input_token_count=lambda: input_,
        output_token_count=lambda: output,
        reasoning_token_count=lambda: reasoning,
        output_character_count=output * 5,
        input_is_estimated=estimated,
    )


def booked(usage, own_count=None, *, read=read_chat, whole=True, context=0, **report):
    report.setdefault("is_final", True)
    found = reconcile(
        read(usage, **report), own_count or own(), is_whole=whole, context_token_count=context
    )
    return found.usage


def chat(prompt=None, completion=None, total=None, reasoning=None, cached=None, **more):
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    if reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    if cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    return {key: value for key, value in usage.items() if value is not None} | more


@pytest.mark.parametrize(
    ("usage", "passed", "cost"),
    [
        # Reasoning beside the completion, as the total shows.
        (chat(10_120, 1499, 14_428, 2809, 128), own(10_000, 1500), 53_084_800),
        (chat(37, 530, 1200, 633), own(37, 530), 37_000 + 11_630_000),
        # No total, but more reasoning than output: it cannot be inside.
        (chat(37, 530, None, 633), own(37, 530), 37_000 + 11_630_000),
        # Reasoning inside of the completion.
        (chat(100, 700, 800, 633), own(100, 60), 100_000 + 7_000_000),
        (chat(100, 700, None, 633), own(100, 60), 100_000 + 7_000_000),
        # Thoughts that only the total knows of, as Gemini's.
        (chat(100, 60, 800), own(100, 60), 100_000 + 7_000_000),
        # Cached tokens beside the prompt, as the total shows.
        (chat(10, 20, 5030, None, 5000), own(5010, 20), 10_000 + 500_000 + 200_000),
    ],
)
def test_conventions_are_told_apart_by_the_total(usage, passed, cost):
    found = booked(usage, passed)
    assert PRICE.cost_nano_usd(found) == cost
    assert not found.estimated


@pytest.mark.parametrize(
    ("usage", "input_", "output"),
    [
        (chat(0, 0, 0), 46, 201),
        (chat(completion=180), 46, 180),
        (chat(prompt=50), 50, 201),
        (chat(50, 0), 50, 201),
        (chat(50, 180) | {"completion_tokens": None}, 50, 201),
        (chat(-1, -5), 46, 201),
        (chat(-1_000_000, 180), 46, 180),
        (chat(900_000_000, 180), 46, 180),
        (chat(2**63 - 1, 180), 46, 180),
        (chat(50, 1e300), 50, 201),
        (chat(50, float("nan")), 50, 201),
        (chat(50, "many"), 50, 201),
        (chat(50, True), 50, 201),
        (chat(50, [1]), 50, 201),
        (chat(1, 180), 1, 180),  # Little is said by small counts.
        ([], 46, 201),
        ("usage", 46, 201),
        (7, 46, 201),
    ],
)
def test_what_is_missing_zero_or_impossible_is_our_own_count(usage, input_, output):
    found = booked(usage)
    assert (found.input_token_count, found.output_token_count) == (input_, output)
    assert found.estimated == ((input_, output) != (1, 180))


def test_no_usage_at_all_is_our_own_count():
    found = reconcile(None, own(46, 201, 7), is_whole=True)
    assert found.usage == Usage(
        input_token_count=46, output_token_count=201, reasoning_token_count=7, estimated=True
    )


@pytest.mark.parametrize(
    "counts", [("20", "9"), (20.0, 9.0), ("20.0", "9.0"), (" 20 ", 9), (20, 9)]
)
def test_counts_may_be_texts_and_floats(counts):
    assert booked(chat(*counts), own(20, 9)) == Usage(input_token_count=20, output_token_count=9)


@pytest.mark.parametrize("value", [-1, 0.5 - 1, 1e18, "inf", "nan", "", "-3", None, {}, [], True])
def test_what_is_no_count_is_none(value):
    assert token_count_of(value) is None


def test_a_count_far_below_what_passed_is_not_believed():
    found = booked(chat(46, 3), own(46, 2000))
    assert (found.output_token_count, found.estimated) == (2000, True)
    found = booked(chat(4, 200), own(9000, 200))
    assert (found.input_token_count, found.estimated) == (9000, True)


def test_images_are_estimated_by_us_and_counted_by_the_provider():
    found = booked(chat(90, 200), own(9000, 200, estimated=True))
    assert (found.input_token_count, found.estimated) == (90, False)


@pytest.mark.parametrize(
    ("usage", "input_", "output"),
    [(chat(300_000, 180), 46, 180), (chat(50, 300_000), 50, 201)],
)
def test_more_than_the_model_s_context_is_not_believed(usage, input_, output):
    found = booked(usage, context=128_000)
    assert (found.input_token_count, found.output_token_count) == (input_, output)
    assert found.estimated
    assert not booked(usage, context=0).estimated


def test_a_context_that_is_somewhat_small_proves_nothing():
    assert booked(chat(9000, 180), own(8000, 180), context=8192).input_token_count == 9000


def test_cached_tokens_that_the_prompt_does_not_have_are_not_believed():
    found = booked(chat(10, 200, 210, None, 5000))
    assert (found.input_token_count, found.cached_input_token_count) == (46, 0)
    assert found.estimated


def test_an_hour_of_cache_is_told_apart_from_minutes():
    usage = {
        "input_tokens": 100,
        "cache_read_input_tokens": 50,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 9,
    }
    found = booked(usage, own(180, 9), read=read_messages)
    assert found == Usage(
        input_token_count=180,
        cached_input_token_count=50,
        cache_write_token_count=30,
        cache_write_1h_token_count=20,
        output_token_count=9,
    )
    cost = 100 * 1000 + 50 * 100 + 10 * 1250 + 20 * 2000 + 9 * 10_000
    assert PRICE.cost_nano_usd(found) == cost


def test_of_an_answer_that_is_not_whole_the_larger_count_is_booked():
    cut = booked(chat(40, 5), own(46, 30), whole=False)
    assert (cut.input_token_count, cut.output_token_count, cut.estimated) == (46, 30, True)
    cut = booked(chat(60, 50), own(46, 30), whole=False)
    assert (cut.input_token_count, cut.output_token_count, cut.estimated) == (60, 50, True)


def test_a_report_from_the_middle_is_not_the_last_word():
    early = booked(chat(46, 1), own(46, 30), is_final=False)
    assert (early.output_token_count, early.estimated) == (30, True)
    fitting = booked(chat(46, 31), own(46, 30), is_final=False)
    assert (fitting.output_token_count, fitting.estimated) == (31, False)


def usage_after(decoder, *frames, passed):
    for frame in frames:
        decoder.feed(sse(frame))
    return reconcile(decoder.usage, passed, is_whole=True).usage


def test_a_later_zero_takes_no_earlier_count_back():
    start = {"input_tokens": 900, "cache_read_input_tokens": 5000}
    start["cache_creation_input_tokens"] = 200
    end = {"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    found = usage_after(
        MessagesDecoder(),
        {"type": "message_start", "message": {"id": "m", "usage": start}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {**end, "output_tokens": 16},
        },
        passed=own(6100, 16),
    )
    assert PRICE.cost_nano_usd(found) == 1_810_000
    assert not found.estimated


def test_a_first_count_of_the_output_is_not_the_last():
    found = usage_after(
        ChatDecoder(),
        {"choices": [], "usage": {"prompt_tokens": 46, "completion_tokens": 0}},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        passed=own(46, 201),
    )
    assert (found.input_token_count, found.output_token_count) == (46, 201)
    assert found.estimated


@pytest.mark.parametrize(
    "details", [7, "x", [1], {"reasoning_tokens": "x"}, {"reasoning_tokens": {}}]
)
def test_details_of_any_shape_cost_no_answer(details):
    found = booked(chat(46, 201) | {"completion_tokens_details": details})
    assert (found.input_token_count, found.output_token_count) == (46, 201)


FIELDS = st.sampled_from(
    [
        "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens",
        "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
        "prompt_tokens_details", "completion_tokens_details", "cached_tokens", "reasoning_tokens",
        "ephemeral_1h_input_tokens",
    ]
)  # fmt: skip
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=12,
)


@given(
    usage=ANY_JSON,
    later=ANY_JSON,
    read=st.sampled_from([read_chat, read_messages, lambda usage, is_final: read_responses(usage)]),
    whole=st.booleans(),
    is_final=st.booleans(),
    counts=st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)),
    context=st.sampled_from([0, 8192]),
)
def test_whatever_a_provider_says_something_can_be_booked(
    usage, later, read, whole, is_final, counts, context
):
    report = read(usage, is_final=False).then(read(later, is_final=is_final))
    found = reconcile(report, own(*counts), is_whole=whole, context_token_count=context).usage
    assert all(type(count) is int and count >= 0 for count in astuple(found)[:-1])
    assert found.input_token_count > 0
    assert (found.output_token_count > 0) or counts[1] == 0
    written = found.cache_write_token_count
    assert found.cached_input_token_count + written <= found.input_token_count
    assert found.cache_write_1h_token_count <= written
    assert found.reasoning_token_count <= found.output_token_count
    assert PRICE.cost_nano_usd(found) > 0
    json.dumps(astuple(found))
