import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType, SamplingParameters
from parley_services.kit.errors import InputTooLarge, InvalidArgument
from parley_services.prompt_registry.templates.rendering import CompiledContent, check_content
from parley_services.prompt_registry.templates.template import (
    Variable,
)

from tests.support.prompts import TEXT, content

ITEMS = Variable(name="items", json_schema='{"type": "array"}')
TONE = Variable(name="tone", json_schema='{"enum": ["short", "long"]}', default_value="short")


def render(made, **variables):
    check_content(made)
    return CompiledContent(made).render(variables)


def fields(error):
    return [each.field for each in error.value.violations]


def test_system_and_user_text_are_apart():
    made = content("Q: {{ text }}", system_text="Be {{ tone }}.", variables=(TEXT, TONE))
    text = render(made, text="why?")
    assert (text.system_text, text.user_text) == ("Be short.", "Q: why?")


@given(st.text())
def test_a_value_is_never_template_code(value):
    assert render(content("<{{ text }}>"), text=value).user_text == f"<{value}>"


@pytest.mark.parametrize("value", ["{{ 7 * 7 }}", "{% for a in b %}", "{# hm #}", "{{ text }}"])
def test_template_code_in_a_value_stays_text(value):
    assert render(content(), text=value).user_text == value


def test_each_wrong_variable_is_named():
    made = content(variables=(TEXT, TONE))
    with pytest.raises(InvalidArgument) as error:
        render(made, colour="red", tone="loud")
    assert sorted(fields(error)) == ["variables.colour", "variables.text", "variables.tone"]
    assert "loud" not in error.value.message


def test_values_follow_their_schema():
    made = content(
        "{% for each in items %}[{{ each }}]{% endfor %}{{ text }}", variables=(TEXT, ITEMS)
    )
    assert render(made, text="!", items="[1, 2]").user_text == "[1][2]!"
    for wrong in ("{}", "[1", ""):
        with pytest.raises(InvalidArgument) as error:
            render(made, text="!", items=wrong)
        assert fields(error) == ["variables.items"]


def test_tokens_of_a_value_are_limited():
    made = content(variables=(Variable(name="text", required=True, max_token_count=3),))
    assert render(made, text="one two").user_text == "one two"
    with pytest.raises(InvalidArgument) as error:
        render(made, text="one two three four five six")
    assert fields(error) == ["variables.text"]


def test_a_value_of_a_million_characters_is_refused():
    with pytest.raises(InputTooLarge) as error:
        render(content(), text="x" * 1_000_000)
    assert error.value.metadata["actual"] == "1000000"


def test_the_result_is_bounded():
    made = content(
        "{% for a in items %}{% for b in items %}{{ text }}{% endfor %}{% endfor %}",
        variables=(TEXT, ITEMS),
    )
    with pytest.raises(InputTooLarge):
        render(made, text="x" * 400_000, items=str(list(range(1000))))


@pytest.mark.parametrize(
    "text",
    [
        "{{ text",
        "{% if text %}",
        "{% include 'other' %}",
        "{% import 'other' as o %}",
        "{% extends 'itself' %}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ text }}",
        "{% set x = text %}{{ x }}",
        "{{ text * 1000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%0999999d' % 1 }}",
        "{{ text.__class__ }}",
        "{{ text.format(1) }}",
        "{{ range(100000000) }}",
        "{{ text | center(99999999) }}",
        "{{ text | attr('upper') }}",
        "{{ text | nothing }}",
        "{{ text is nothing }}",
        "{{ unknown }}",
        "{% for a in text %}{% for b in text %}{% for c in text %}.{% endfor %}{% endfor %}"
        "{% endfor %}",
        "{% for a in text recursive %}{{ loop(a) }}{% endfor %}",
        "{{ text | join('12345678901234567') }}",
        "{{ " + "(" * 400 + "text" + ")" * 400 + " | trim" * 400 + " }}",
        "",
        "x" * 70_000,
    ],
)
def test_what_the_language_lacks_is_refused_when_a_version_is_made(text):
    with pytest.raises(InvalidArgument) as error:
        check_content(content(text))
    assert set(fields(error)) == {"content.user_text"}


def test_free_text_cannot_speak_for_the_system():
    with pytest.raises(InvalidArgument) as error:
        check_content(content(system_text="Obey {{ text }}."))
    assert fields(error) == ["content.system_text"]


@pytest.mark.parametrize(
    "variable",
    [
        Variable(name="1x"),
        Variable(name="loop"),
        Variable(name="text"),
        Variable(name="x", json_schema="{"),
        Variable(name="x", json_schema="[]"),
        Variable(name="x", json_schema='{"type": "nothing"}'),
        Variable(name="x", json_schema='{"$ref": "https://example.com/schema.json"}'),
        Variable(name="x", json_schema='{"pattern": "("}'),
        Variable(name="x", json_schema='{"enum": ["a"]}', default_value="b"),
        Variable(name="x", json_schema='{"type": "integer"}', default_value="one"),
        Variable(name="x", required=True, default_value="b"),
        Variable(name="x", max_token_count=-1),
    ],
)
def test_a_wrong_declaration_is_named(variable):
    with pytest.raises(InvalidArgument) as error:
        check_content(content(variables=(TEXT, variable)))
    assert all(each.startswith("content.variables[1].") for each in fields(error))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"parameters": SamplingParameters(temperature=3)}, "content.parameters.temperature"),
        ({"parameters": SamplingParameters(top_p=0)}, "content.parameters.top_p"),
        (
            {"parameters": SamplingParameters(max_output_token_count=0)},
            "content.parameters.max_output_token_count",
        ),
        (
            {"response_format": ResponseFormat(type=ResponseFormatType.JSON_SCHEMA)},
            "content.response_format.json_schema",
        ),
        (
            {"response_format": ResponseFormat(json_schema="{}")},
            "content.response_format.type",
        ),
    ],
)
def test_what_says_how_to_call_is_checked(wrong, field):
    with pytest.raises(InvalidArgument) as error:
        check_content(content(**wrong))
    assert fields(error) == [field]


def test_an_operation_that_does_not_fit_a_type_says_nothing_of_the_value():
    made = content("{{ items + text }}", variables=(TEXT, ITEMS))
    with pytest.raises(InvalidArgument) as error:
        render(made, text="secret", items="[1]")
    assert "secret" not in error.value.message
