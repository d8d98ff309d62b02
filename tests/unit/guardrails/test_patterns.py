import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from parley_services.guardrails.patterns.disguises import (
    escaped_pattern,
    reversed_pattern,
    rot13_pattern,
)
from parley_services.guardrails.patterns.parse import PatternInvalid, parse
from parley_services.guardrails.patterns.prefixes import open_prefixes
from parley_services.guardrails.patterns.regex import compile_regex
from parley_services.guardrails.patterns.tree import max_length, render

PATTERNS = (
    r"drop\s{1,3}table\b",
    r"\bexec\(",
    r"a(?:bc|bd)?e{2,4}",
    r"(?:ab|a)(?:bc|c){1,2}\b",
    r"\.?\bx[0-9a-f]{2,3}",
    r"\b\d(?:[ -]?\d){2,4}\b",
)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"drop\s{1,3}table", "DROP \n table"),
        (r"[a-c\-.]{3}", "a-."),
        (r"[^x]\d\D\W", "a1b "),
        (r"\u00e4+", "äÄä"),
        (r"(?:a|b){2}c?", "ab"),
        (r".*", "anything"),
    ],
)
def test_a_parsed_pattern_matches_what_it_says(pattern, text):
    assert compile_regex(render(parse(pattern))).search(text.encode()).span() == (
        0,
        len(text.encode()),
    )


@pytest.mark.parametrize(
    "pattern",
    ["(", "a)", "[a", "a{2", "a{3,2}", "a{1001}", "(?i)a", "^a", r"\q", r"\b+", "*", "(a)(b)"],
)
def test_what_cannot_be_read_is_refused(pattern):
    with pytest.raises(PatternInvalid):
        parse(pattern)


def test_the_longest_match_is_known():
    assert max_length(parse(r"ab{2,5}(?:cd|e)?\b")) == 8
    assert max_length(parse(r"ab+")) is None


@pytest.mark.parametrize("pattern", PATTERNS)
@given(
    text=st.text(alphabet="abcdeoprtx(.0 1-", max_size=12),
    more=st.text(alphabet="abcdeoprtlx( 01", max_size=6),
)
def test_a_match_that_is_not_held_is_final(pattern, text, more):
    """What begins before the held part is found in the same way however the text goes on."""
    node = parse(pattern)
    held = compile_regex(rf"(?:{open_prefixes(node)})\z").search(text.encode()).span()[0]
    finder = re2.compile(render(node).encode())

    def settled(whole):
        return [match.span() for match in finder.finditer(whole.encode()) if match.start() < held]

    assert settled(text) == settled(text + more)


def test_only_what_could_become_a_match_is_held():
    opened = compile_regex(rf"(?:{open_prefixes(parse(PATTERNS[0]))})\z")
    for text, held in [("a drop", 2), ("a drop  tab", 2), ("a drop x", 8), ("drop table", 0)]:
        assert opened.search(text.encode()).span()[0] == held
    opened = compile_regex(rf"(?:{open_prefixes(parse(PATTERNS[1]))})\z")
    for text, held in [("exe", 0), ("exec(", 5), ("an exec", 3), ("anexec", 6)]:
        assert opened.search(text.encode()).span()[0] == held


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (reversed_pattern, "elbat pord"),
        (rot13_pattern, "qebc gnoyr"),
        (escaped_pattern, "%64ro&#112;&#x20;t\\x61bl\\u0065"),
        (escaped_pattern, "drop&NewLine;&Tab;table"),
    ],
)
def test_a_disguised_pattern_matches_the_disguised_text(change, text):
    node = change(parse(r"drop\s{1,3}table"))
    assert compile_regex(render(node)).search(text.encode()).span() == (0, len(text))
