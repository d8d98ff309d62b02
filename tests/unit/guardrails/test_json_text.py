import json

import orjson
from hypothesis import given
from hypothesis import strategies as st
from parley_services.guardrails.text.json_text import JsonText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 1) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def written(value, data):
    return json.dumps(
        value,
        ensure_ascii=data.draw(st.booleans()),
        indent=data.draw(st.sampled_from([None, 2])),
    )


@given(VALUES, st.data())
def test_what_is_not_replaced_stays_as_it_was_written(value, data):
    text = written(value, data)
    assert JsonText(text).result() == text


@given(VALUES, st.data())
def test_whatever_is_replaced_json_stays_json(value, data):
    text = JsonText(written(value, data))
    joined = text.by_key()
    for token in text.tokens:
        whole = [piece for piece in joined.pieces(0, len(joined.text)) if piece.token is token]
        text.replace(whole, 'x"\\'[: data.draw(st.integers(1, 3))])
    orjson.loads(text.result())


@given(VALUES, st.data())
def test_a_span_of_the_meaning_is_one_of_the_json(value, data):
    written_text = written(value, data)
    text = JsonText(written_text)
    joined = text.in_a_row()
    for piece in joined.pieces(0, len(joined.text)):
        start, end = text.span([piece])
        inner = written_text[start:end]
        assert inner == piece.token.text or orjson.loads(f'"{inner}"') == piece.token.text


def test_each_value_stands_beside_its_key_and_in_a_row():
    text = JsonText('{"a\\u0040": ["b", 1, "c\\n"], "d": {"e": "f"}, "g": true}')
    assert text.by_key().text == "a@: b\n1\nc\n\nd: e: f\ng: "
    assert text.in_a_row().text == "b \n1\nc\n f "


def test_a_part_of_a_value_is_replaced_and_a_number_becomes_a_string():
    text = JsonText('{"a": "x\\u0040y z", "n": -4.5e2}')
    joined = text.by_key()
    text.replace(joined.pieces(3, 6), "E")
    start = joined.text.index("4.5")
    text.replace(joined.pieces(start, start + 1), "N")
    assert text.result() == '{"a": "E z", "n": "N"}'


def test_of_what_is_spread_over_values_the_first_one_tells():
    text = JsonText('{"a": "say 12", "b": "34 now"}')
    row = text.in_a_row()
    text.replace(row.pieces(row.text.index("12"), row.text.index(" now")), "[N]")
    assert text.result() == '{"a": "say [N]", "b": " now"}'
