import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType, SamplingParameters
from parley_services.kit.errors import InvalidArgument
from parley_services.prompt_registry import from_proto
from parley_services.prompt_registry.templates.prompt_file import (
    GoldenCase,
    PromptFile,
    as_yaml,
    read_folder,
    read_prompt,
    write_prompt,
)
from parley_services.prompt_registry.templates.serialization import parse, plain
from parley_services.prompt_registry.templates.template import (
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
    response_format=st.builds(ResponseFormat, type=st.sampled_from(list(ResponseFormatType)[1:])),
    cache_scope=st.sampled_from(list(CacheScope)[1:]),
    tools=st.lists(TEXTS, max_size=2).map(tuple),
    extra_cacheable=st.lists(st.sampled_from(list(ExtraCacheable)[1:]), unique=True).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(CONTENTS)
def test_what_is_written_is_read_back_to_the_character(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("prompts") / "greeting.yaml"
    assert write_prompt(path.parent, "greeting", made)
    assert read_prompt(path).content == made
    assert read_prompt(path).content.sha256() == made.sha256()
    assert not write_prompt(path.parent, "greeting", made)


STORED = {
    # Contents as the tables hold them, with the hashes under which they were stored.
    "ba6f76d6484cf9d5d0f6772c7821e1166a1da1243c209f256ab12898999eb967": (
        '{"user_text":"{{ text }}","variables":[{"name":"text","required":true}]}'
    ),
    "837d8af2cb1ec60a62a920286e288a3ce440c8cd2f278511b89e8c018e6c2687": (
        r"""{"system_text":"Be brief.","user_text":"{{ text }} in {{ language }}","""
        r""""variables":[{"name":"text","required":true,"description":"d"},{"name":"language","""
        r""""json_schema":"{\"enum\":[\"en\",\"de\"]}","default_value":"en","""
        r""""max_token_count":4}],"model":"group-a","parameters":{"temperature":0.5,"top_p":0.9,"""
        r""""max_output_token_count":100,"stop_sequences":["END"],"seed":7},"response_format":"""
        r"""{"type":"json_schema","json_schema":"{\"type\":\"object\"}"},"cache_scope":"user","""
        r""""guardrail_policy":"strict","tools":["search"],"retrieval_collection":"docs","""
        r""""extra_cacheable":["downgraded","tools"]}"""
    ),
    "cef1166d895b1fefebcd6df478a79fef884486f28d7da066e2bb8a9be25e20e1": (
        '{"user_text":"{{ text }}","response_format":{"type":"json_object"},"cache_scope":"none"}'
    ),
}


@pytest.mark.parametrize(("digest", "stored"), STORED.items(), ids=["least", "whole", "json"])
def test_what_is_stored_keeps_its_hash_and_its_text(digest, stored):
    made = parse(TemplateContent, orjson.loads(stored))
    assert made.sha256() == digest
    assert orjson.dumps(plain(made)).decode() == stored


def test_a_content_from_the_wire_has_the_hash_that_its_file_has():
    made = from_proto.content(
        pb.TemplateContent(
            user_text="{{ text }}", variables=[pb.Variable(name="text", required=True)]
        )
    )
    assert made == content()
    assert made.sha256() == content().sha256()


def test_a_field_of_a_later_release_changes_no_hash_while_it_says_nothing():
    assert content().sha256() == next(iter(STORED))
    assert content(extra_cacheable=(ExtraCacheable.TOOLS,)).sha256() != next(iter(STORED))


def test_an_unknown_word_for_an_enum_is_refused_with_those_there_are():
    with pytest.raises(InvalidArgument) as refused:
        parse(TemplateContent, {"user_text": "a", "cache_scope": "everybody"})
    (violation,) = refused.value.violations
    assert violation.field == "cache_scope"
    assert violation.description == "Use one of tenant, user, none."


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
