import pytest
from parley_services.kit.errors import InvalidArgument
from parley_services.prompt_registry.templates.golden import (
    Failed,
    Passed,
    check_contents,
    run_cases,
)
from parley_services.prompt_registry.templates.prompt_file import GoldenCase, PromptFile
from parley_services.prompt_registry.templates.template import Variable

from tests.support.prompts import content

GREETING = content(
    "Hello {{ text }}, {{ items | length }} of {{ items | join(', ') }}\n",
    system_text="Be kind.\n",
    variables=(
        Variable(name="text", required=True),
        Variable(name="items", json_schema='{"type": "array"}', default_value="[]"),
    ),
)


def run(**case):
    file = PromptFile(content=GREETING, tests=(GoldenCase(name="c", **case),))
    (result,) = run_cases({"greeting": file})
    return result


@pytest.mark.parametrize(
    "case",
    [
        {
            "variables": {"text": "ada", "items": ["a", "b"]},
            "user_text": "Hello ada, 2 of a, b\n",
            "system_text": "Be kind.",
        },
        {"variables": {}, "refused": ("variables.text",)},
        {"variables": {"text": "a", "items": 7}, "refused": ("variables.items",)},
    ],
)
def test_a_case_that_comes_out_as_it_must_passes(case):
    assert run(**case) == Passed(template="greeting", case="c")


def test_a_case_that_comes_out_otherwise_shows_the_difference():
    result = run(variables={"text": "ada"}, user_text="Hello bob, 0 of ")
    assert isinstance(result, Failed)
    assert "-Hello bob, 0 of " in result.diff
    assert "+Hello ada, 0 of " in result.diff


@pytest.mark.parametrize(
    "case",
    [
        {"variables": {"text": "ada"}},
        {"variables": {"text": "ada"}, "refused": ("variables.text",)},
        {"variables": {}, "user_text": "Hello"},
        {"variables": {}, "refused": ("variables.text", "variables.items")},
    ],
)
def test_a_case_that_is_no_proof_fails(case):
    result = run(**case)
    assert isinstance(result, Failed)
    assert result.problem


def test_contents_that_the_registry_would_refuse_are_named_with_their_template():
    files = {
        "good": PromptFile(content=content()),
        "bad": PromptFile(content=content("{% if %}")),
    }
    with pytest.raises(InvalidArgument) as caught:
        check_contents(files)
    assert [each.field for each in caught.value.violations] == ["bad: content.user_text"]
