import pytest
from parley_services.guardrails.format.answer_format import format_error, require_usable
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType
from parley_services.kit.errors import InvalidArgument

SCHEMA = """{"type": "object", "required": ["a/b"], "additionalProperties": false,
 "properties": {"a/b": {"type": "integer"}, "c": {"type": "string", "pattern": "^(a+)+$"}}}"""


def json_schema(schema=SCHEMA):
    return ResponseFormat(type=ResponseFormatType.JSON_SCHEMA, json_schema=schema)


def test_any_text_is_text():
    assert format_error(ResponseFormat(), "{") == ""


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ('{"x": 1}', ""),
        ("[1]", "The answer is JSON but not an object."),
        ('{"x": ', "The answer is not JSON: unexpected end of data at line 1 column 7."),
        (
            '```json\n{"x": 1}\n```',
            "The answer is not JSON: write the JSON alone, without a code fence.",
        ),
    ],
)
def test_an_object_of_any_shape(answer, error):
    assert format_error(ResponseFormat(type=ResponseFormatType.JSON_OBJECT), answer) == error


def test_a_schema_names_each_problem_without_quoting_the_answer():
    error = format_error(json_schema(), '{"a/b": "a secret", "d": 1}')
    assert "At /a~1b: " in error
    assert "integer" in error
    assert "a secret" not in error
    assert format_error(json_schema(), '{"a/b": 3}') == ""


def test_a_pattern_of_a_client_takes_linear_time():
    answer = '{"a/b": 1, "c": "' + "a" * 50_000 + '!"}'
    assert format_error(json_schema(), answer).startswith("At /c: ")


@pytest.mark.parametrize(
    "schema", ["{", '{"type": "nope"}', '{"$ref": "http://127.0.0.1:1/x"}', "3", ""]
)
def test_an_unusable_schema_is_refused(schema):
    with pytest.raises(InvalidArgument):
        require_usable(json_schema(schema))
