import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.bounded_json import JsonBounds, JsonRefused, load

SMALL = JsonBounds(max_bytes=200, max_depth=3, max_values=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab"\\[]{},:é\n', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('a"\\[{:,', max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def depth(value):
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inner), default=0)
    return 0


def size(value):
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(size, value.values()))
    return 1 + sum(map(size, value)) if isinstance(value, list) else 1


@given(VALUES)
def test_json_is_read_if_it_is_within_the_bounds(value):
    text = json.dumps(value, ensure_ascii=False)
    if depth(value) <= 3 and size(value) <= 8 and len(text.encode()) <= 200:
        assert load(text, SMALL) == value
    if depth(value) > 3 or size(value) > 20:
        with pytest.raises(JsonRefused):
            load(text, SMALL)
    assert load(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested deeper than 100"),
        ('{"a":' * 50_000, "nested deeper than 100"),
        ("[" * 101 + "]" * 101, "nested deeper than 100"),
        ("[" + "0," * 300_000 + "0]", "more than 200000 values"),
        ('"' + "x" * 1_048_576 + '"', "more than 1048576 bytes"),
        ("]" * 5_000, "is not JSON"),
        ('{"a": ', "is not JSON: unexpected end of data at line 1 column 7."),
        ("NaN", "is not JSON"),
        ('"\ud800"', "is not JSON"),
    ],
)
def test_what_is_refused_says_why(text, said):
    with pytest.raises(JsonRefused, match=said):
        load(text)


def test_brackets_in_strings_are_no_depth():
    assert load('["' + "[" * 5_000 + '", "\\\\", "\\"' + "{," * 200_000 + '"]')[1] == "\\"
