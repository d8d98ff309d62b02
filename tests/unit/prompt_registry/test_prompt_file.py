import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley_services.kit.errors import InvalidArgument
from parley_services.prompt_registry.templates.prompt_file import (
    GoldenCase,
    PromptFile,
    as_yaml,
    read_folder,
    read_prompt,
    write_prompt,
)
from parley_services.prompt_registry.templates.template import (
    CacheScope,
    ExtraCacheable,
    ResponseFormat,
    ResponseFormatType,
    SamplingParameters,
    TemplateContent,
    Variable,
)

from tests.support.prompts import content

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.text(
    "a{}%#:- \t\n|>'\"", max_size=60
)
CONTENTS = st.builds(
    TemplateContent,
    system_text=TEXTS,
    user_text=TEXTS,
    variables=st.lists(
        st.builds(Variable, name=TEXTS, json_schema=TEXTS, required=st.booleans()), max_size=2
    ).map(tuple),
    model=TEXTS,
    parameters=st.builds(
        SamplingParameters,
        temperature=st.none() | st.floats(0, 2),
        seed=st.none() | st.integers(-5, 5),
        stop_sequences=st.lists(TEXTS, max_size=2).map(tuple),
    ),
    response_format=st.builds(ResponseFormat, type=st.sampled_from(ResponseFormatType)),
    cache_scope=st.sampled_from(CacheScope),
    tools=st.lists(TEXTS, max_size=2).map(tuple),
    extra_cacheable=st.lists(st.sampled_from(ExtraCacheable), unique=True).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(CONTENTS)
def test_what_is_written_is_read_back_to_the_character(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("prompts") / "greeting.yaml"
    assert write_prompt(path.parent, "greeting", made)
    assert read_prompt(path).content == made
    assert read_prompt(path).content.sha256() == made.sha256()
    assert not write_prompt(path.parent, "greeting", made)


def test_a_field_of_a_later_release_changes_no_hash_while_it_says_nothing():
    # That of this content as the first release stored it.
    before = "ba6f76d6484cf9d5d0f6772c7821e1166a1da1243c209f256ab12898999eb967"
    assert content().sha256() == before
    assert content(extra_cacheable=(ExtraCacheable.TOOLS,)).sha256() != before


def test_texts_of_several_lines_are_blocks_and_long_lines_are_whole():
    text = as_yaml(content("one\ntwo\n" + "word " * 60 + "end\n"))
    assert text.startswith("user_text: |\n  one\n  two\n  word")
    assert "word end\n" in text


def test_a_file_with_the_same_content_keeps_its_comments(tmp_path):
    path = tmp_path / "greeting.yaml"
    path.write_text("# Ask ada.\n" + as_yaml(PromptFile(content=content())))
    assert not write_prompt(tmp_path, "greeting", content())
    assert path.read_text().startswith("# Ask ada.")


def test_golden_cases_stay_when_the_content_changes(tmp_path):
    case = GoldenCase(name="one", variables={"text": "hi"}, user_text="hi")
    path = tmp_path / "greeting.yaml"
    path.write_text(as_yaml(PromptFile(content=content(), tests=(case,))))
    assert write_prompt(tmp_path, "greeting", content("now {{ text }}"))
    assert read_prompt(path) == PromptFile(content=content("now {{ text }}"), tests=(case,))


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [
        ("Greeting.yaml", "content: {user_text: hi}", "Greeting.yaml"),
        ("greeting.yaml", "content: {user_txt: hi}", "greeting.yaml: content.user_text"),
        ("greeting.yaml", "content: {user_text: hi}\nmore: 1", "greeting.yaml: more"),
        ("greeting.yaml", "content: [", "greeting.yaml"),
        ("greeting.yaml", "!!python/object/apply:os.getcwd []", "greeting.yaml"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(tmp_path, name, text, field):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidArgument) as caught:
        read_folder(tmp_path)
    assert field in [each.field for each in caught.value.violations]


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(InvalidArgument):
        read_folder(tmp_path / "nothing")
