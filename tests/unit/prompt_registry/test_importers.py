import orjson
import pytest
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType
from parley_services.kit.errors import InvalidArgument
from parley_services.prompt_registry.templates.importers import (
    from_format_string,
    from_jinja,
    from_langfuse,
    from_mlflow,
    template_name,
)
from parley_services.prompt_registry.templates.rendering import CompiledContent, check_content

LANGFUSE_TEXT = {
    "name": "movie-critic",
    "type": "text",
    "version": 3,
    "prompt": "As a {{criticLevel}} critic, rate {{movie}}. {% Not Jinja %} {{ a.b }}",
    "config": {"model": "gpt-4o", "temperature": 0.5, "max_tokens": 99, "supported": ["en"]},
    "labels": ["production"],
    "tags": ["movies"],
}
LANGFUSE_CHAT = {
    "name": "support",
    "type": "chat",
    "version": 1,
    "prompt": [
        {"role": "system", "content": "You help."},
        {"type": "placeholder", "name": "history"},
        {"role": "user", "content": "{{question}}"},
    ],
    "config": {"response_format": {"type": "json_object"}},
    "labels": [],
    "tags": [],
}


def rendered(prompt, **variables):
    check_content(prompt.content)
    return CompiledContent(prompt.content).render(variables)


def test_a_format_string_renders_as_python_does():
    text = "Dear {name}, use {{braces}}, {{{{ and {{% as they stand: {name}\n"
    prompt = from_format_string("Welcome Mail", text)
    assert prompt.name == "welcome_mail"
    assert [each.name for each in prompt.content.variables] == ["name"]
    assert rendered(prompt, name="ada").user_text == text.format(name="ada").removesuffix("\n")


@pytest.mark.parametrize("text", ["{0}", "{}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{a", "a}"])
def test_a_replacement_that_is_more_than_a_name_is_refused(text):
    with pytest.raises(InvalidArgument):
        from_format_string("p", text)


def test_jinja_stays_as_it_is():
    prompt = from_jinja("p", "{% for each in items %}{{ each }}{{ sep }}{% endfor %}", "Be brief.")
    assert prompt.content.system_text == "Be brief."
    assert [each.name for each in prompt.content.variables] == ["items", "sep"]
    with pytest.raises(InvalidArgument):
        from_jinja("p", "{% if %}")


def test_a_text_prompt_of_langfuse_renders_its_variables_and_nothing_else():
    (prompt,) = from_langfuse([{**LANGFUSE_TEXT, "version": 1, "prompt": "old"}, LANGFUSE_TEXT])
    assert prompt.name == "movie_critic"
    assert prompt.content.model == "gpt-4o"
    assert prompt.content.parameters.temperature == 0.5
    assert prompt.content.parameters.max_output_token_count == 99
    assert any("supported" in each for each in prompt.notes)
    text = rendered(prompt, criticLevel="kind", movie="Jaws").user_text
    assert text == "As a kind critic, rate Jaws. {% Not Jinja %} {{ a.b }}"


def test_a_chat_prompt_of_langfuse_keeps_its_roles_apart():
    (prompt,) = from_langfuse(LANGFUSE_CHAT)
    assert prompt.content.response_format == ResponseFormat(type=ResponseFormatType.JSON_OBJECT)
    assert any("history" in each for each in prompt.notes)
    both = rendered(prompt, question="Why?")
    assert (both.system_text, both.user_text) == ("You help.", "Why?")


@pytest.mark.parametrize(
    "document",
    [
        [],
        7,
        [{"prompt": "x"}],
        [{"name": "x"}],
        {**LANGFUSE_CHAT, "prompt": [{"role": "assistant", "content": "Hi"}]},
        {**LANGFUSE_CHAT, "prompt": ["hi"]},
        {**LANGFUSE_TEXT, "prompt": "@@@langfusePrompt:name=x|label=production@@@"},
    ],
)
def test_what_cannot_be_a_template_is_refused(document):
    with pytest.raises(InvalidArgument):
        from_langfuse(document)


def test_free_text_in_a_system_text_is_pointed_out():
    chat = [{"role": "system", "content": "You are {{who}}."}, {"role": "user", "content": "Hi"}]
    (prompt,) = from_langfuse({**LANGFUSE_CHAT, "prompt": chat})
    assert any("`who`" in each for each in prompt.notes)


SCHEMA = {"type": "object", "required": ["sum"]}


@pytest.mark.parametrize(
    "document",
    [
        {
            "name": "sum.up",
            "version": 2,
            "template": [
                {"role": "system", "content": "Be exact."},
                {"role": "user", "content": "Sum {{ numbers }}"},
            ],
            "response_format": SCHEMA,
            "model_config": {"model_name": "small", "temperature": 0.1, "top_k": 4},
        },
        {
            "model_versions": [
                {
                    "name": "sum.up",
                    "version": "2",
                    "tags": [
                        {"key": "mlflow.prompt.is_prompt", "value": "true"},
                        {
                            "key": "mlflow.prompt.text",
                            "value": orjson.dumps(
                                [
                                    {"role": "system", "content": "Be exact."},
                                    {"role": "user", "content": "Sum {{ numbers }}"},
                                ]
                            ).decode(),
                        },
                        {
                            "key": "_mlflow_prompt_response_format",
                            "value": orjson.dumps(SCHEMA).decode(),
                        },
                        {
                            "key": "_mlflow_prompt_model_config",
                            "value": '{"model_name": "small", "temperature": 0.1, "top_k": 4}',
                        },
                    ],
                }
            ]
        },
    ],
    ids=["prompt version", "REST"],
)
def test_a_prompt_of_mlflow_is_read_in_both_forms(document):
    (prompt,) = from_mlflow(document)
    assert prompt.name == "sum_up"
    assert prompt.content.model == "small"
    assert prompt.content.parameters.temperature == 0.1
    assert orjson.loads(prompt.content.response_format.json_schema) == SCHEMA
    assert any("top_k" in each for each in prompt.notes)
    assert rendered(prompt, numbers="1, 2").user_text == "Sum 1, 2"


def test_a_model_of_mlflow_that_is_no_prompt_is_refused():
    with pytest.raises(InvalidArgument):
        from_mlflow({"model_version": {"name": "iris", "version": "1", "tags": []}})


@pytest.mark.parametrize(
    ("name", "made"),
    [("Movie-Critic", "movie_critic"), ("2nd", "prompt_2nd"), ("été", "t"), ("_", "prompt")],
)
def test_names_take_the_form_of_templates(name, made):
    assert template_name(name) == made
