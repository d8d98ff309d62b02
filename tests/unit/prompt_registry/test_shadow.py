import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType
from parley_services.prompt_registry.experiments.shadow import (
    MAX_LENGTH_RATIO,
    GivenAnswer,
    compare,
    has_format,
    length_ratio,
    shadow_tally,
    similarity,
)

TEXT = ResponseFormat()
JSON = ResponseFormat(type=ResponseFormatType.JSON_OBJECT)


def with_schema(schema):
    return ResponseFormat(type=ResponseFormatType.JSON_SCHEMA, json_schema=schema)


@given(st.text(), st.text())
def test_similarity_is_a_share_and_takes_no_side(one, two):
    assert 0 <= similarity(one, two) <= 1
    assert similarity(one, two) == pytest.approx(similarity(two, one))
    assert similarity(one, one) == 1


def test_similarity_sees_words_and_their_order():
    assert similarity("the cat sat", "The cat sat.") == 1
    assert similarity("the cat sat", "a dog ran") == 0
    turned = similarity("the cat bit the dog", "the dog bit the cat")
    assert 0.5 < turned < 1
    assert similarity("yes", "yes indeed") == pytest.approx(2 / 3)


def test_scripts_without_spaces_are_compared_by_character():
    assert 0.5 < similarity("東京は日本の首都です", "東京は日本の首都") < 1


def test_a_ratio_of_lengths_has_a_bound():
    assert length_ratio("abcd", "ab") == 2
    assert length_ratio("", "") == 1
    assert length_ratio("a", "") == MAX_LENGTH_RATIO
    assert length_ratio("", "a") == 0


@pytest.mark.parametrize(
    ("text", "wanted", "fits"),
    [
        ("anything", TEXT, True),
        ('{"a": 1}', JSON, True),
        ("[1]", JSON, False),
        ("{", JSON, False),
        ('{"a": 1}', with_schema('{"required": ["a"]}'), True),
        ("{}", with_schema('{"required": ["a"]}'), False),
        ("{}", with_schema('{"type": 7}'), False),
    ],
)
def test_a_form_is_kept_or_broken(text, wanted, fits):
    assert has_format(text, wanted) is fits


def test_comparisons_add_up():
    answer = GivenAnswer(version=1, text="{}", latency_seconds=2.0, cost_nano_usd=10)
    tallies = [
        shadow_tally(
            compare(text, answer, shadow_format=JSON, answer_format=TEXT),
            latency_seconds=1.0,
            cost=4,
        )
        for text in ("{}{}", '"')
    ]
    total = tallies[0] + tallies[1]
    assert total.pair_count == 2
    assert total.mean_length_ratio == pytest.approx(1.0)
    assert total.shadow_format_failure_count == 2
    assert total.answer_format_failure_count == 0
    assert (total.answer_latency_us, total.shadow_latency_us) == (4_000_000, 2_000_000)
    assert (total.answer_cost_nano_usd, total.shadow_cost_nano_usd) == (20, 8)
