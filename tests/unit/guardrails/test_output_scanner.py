import base64
import functools
import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.policy.policy import Policy
from parley_services.guardrails.policy.policy_file import default_policy
from parley_services.guardrails.rules import PATTERN_RULES
from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.guardrails.text.limits import Limits
from parley_services.guardrails.verdict import Verdict
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Placeholder
from parley_services.kit.errors import InputTooLarge

OWN = OutputContext(
    placeholders=(
        Placeholder(placeholder="[REDACTED_EMAIL_1]", original="ada@lovelace.org"),
        Placeholder(placeholder="[REDACTED_CARD_1]", original="4111 1111 1111 1111"),
    ),
    user_texts=("write to zoe@example.net",),
)


@functools.cache
def checks():
    return Checks(default_policy(), PATTERN_RULES)


def scan(pieces, context=OWN):
    scanner = checks().scan_output(context)
    steps = [step for piece in pieces for step in scanner.feed(piece)]
    steps += scanner.end()
    return "".join(step for step in steps if isinstance(step, str)), scanner.report()


def released_after_each(pieces, context=OWN):
    scanner = checks().scan_output(context)
    for piece in pieces:
        yield "".join(step for step in scanner.feed(piece) if isinstance(step, str))


FRAGMENTS = st.sampled_from(
    [
        "DROP TABLE",
        "drop",
        " ta",
        "ble",
        "exec(",
        ".exec(",
        "exe",
        "__import__ (",
        "rm -rf /",
        "rm -rf /tmp/x",
        "chmod 777",
        "elbat pord",
        "qebc gnoyr",
        "%64rop",
        "&#32;table",
        "exec&lpar;",
        "rm -rf &sol;",
        "&lp",
        "&NewLine;",
        "\\x20",
        base64.b64encode(b"now drop table x").decode(),
        b"drop table".hex(),
        "ZHJv",
        "64 72 6f",
        "4111 1111 1111 1111",
        "4111",
        " 1111",
        "212-555-0123",
        "+44 20 7946 0018",
        "078-05-1120",
        "ada@lovelace.org",
        "bob@exam",
        "ple.com",
        "zoe@example.net",
        "[REDACTED_EMAIL_1]",
        "[REDACTED_",
        "CARD_1]",
        "[REDACTED_SSN_9]",
        "\uff14\uff11\uff11\uff11",
        "\u200b",
        "\U000e0041",
        "é",
        "忽略",
        "\u017f",
        " ",
        "\n",
        ".",
        ",",
        "1",
        "a",
        "@",
        "-",
        "%",
        "&",
        "The answer is 42. ",
        "e-mail",
    ]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=4), max_size=12).map("".join)


@st.composite
def cut_texts(draw):
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=16)))
    return text, [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]


@settings(max_examples=400, deadline=None)
@given(cut_texts())
@example(("a 4111 1111 1111 1111 2 b", ["a 4111 1111 1111", " 1111 2", " b"]))
@example(("x %64rop table y", ["x %", "64rop tab", "le y"]))
@example(("an exec&lpar;1)", ["an exec", "&lp", "ar;1)"]))
def test_the_result_does_not_depend_on_the_cutting(cut):
    text, pieces = cut
    assert scan(pieces) == scan([text])


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_one_character_at_a_time_is_a_cutting_too(text):
    assert scan(list(text)) == scan([text])


@settings(max_examples=200, deadline=None)
@given(cut_texts())
def test_what_was_released_is_never_part_of_a_match(cut):
    """At each moment the released text is a beginning of the result, so nothing is taken back."""
    text, pieces = cut
    whole, _ = scan([text])
    so_far = ""
    for released in released_after_each(pieces):
        so_far += released
        assert whole.startswith(so_far)


@settings(max_examples=200, deadline=None)
@given(cut_texts())
def test_what_is_cached_holds_no_personal_data_of_the_user(cut):
    _, report = scan(cut[1])
    assert "ada@lovelace.org" not in report.cacheable_text
    assert "zoe@example.net" not in report.cacheable_text


@pytest.mark.parametrize(
    "banned",
    [
        "DROP TABLE",
        "delete\n table",
        "TRUNCATE  TABLE",
        "drop/* x */table",
        "rm -rf /",
        "rm -fr /*",
        "sudo rm -r --no-preserve-root /",
        "rm -rf /etc",
        "chmod 777",
        "chmod -R 0777",
        "chown 777",
        "exec(",
        "__import__(",
        "mkfs.ext4 /dev/sda",
        "dd if=/dev/zero of=/dev/sda",
        ":(){ :|:& };:",
        "DR\u200bOP TABLE",
        "\uff24\uff32\uff2f\uff30 TABLE",
        "elbat pord",
        "qebc gnoyr",
        "%44rop%20table",
        "&#100;rop table",
        "exec&lpar;",
        "&lowbar;&UnderBar;import__&lpar;",
        "drop&Tab;table",
        "rm -rf &sol;",
        "drop\\x20table",
        b"drop table".hex(),
        "64 72 6f 70 20 74 61 62 6c 65",
        base64.b64encode(b"drop table").decode(),
        base64.b64encode(b"please do a drop table for me").decode().rstrip("="),
    ],
)
def test_nothing_of_a_banned_text_is_shown(banned):
    shown, report = scan([f"Sure: {banned} now"])
    before = next((each for each in ("sudo ", ":") if banned.startswith(each)), "")
    assert shown == f"Sure: {before}"
    assert report.verdict is Verdict.BLOCK
    assert "".join(released_after_each(list(f"Sure: {banned}"))) == f"Sure: {before}"


@pytest.mark.parametrize(
    "text",
    [
        "We drop the table of contents.",
        "rm -rf /tmp/build",
        "rm -r ./build",
        "pattern.exec(text)",
        "chmod 755 x",
        "execute (now)",
        "The exec (short for executive) spoke.",
        "aGVsbG8gd29ybGQsIGhvdyBhcmUgeW91",
        "an exec&amp; co, exec&LPAR;, drop&nbsp;table",
        "100% sure & happy \\o/",
        "version 1.2.3 of 2024-01-02",
        "a[REDACTED_EMAIL_7] b",
        "order 123456789012",
    ],
)
def test_innocent_text_passes_whole(text):
    assert scan(list(text))[0] == text
    assert scan([text])[1].verdict is Verdict.ALLOW


def test_personal_data_becomes_numbered_placeholders():
    text = "Mail bob@example.com, BOB@example.com or eve@example.com; call 212-555-0123."
    shown, report = scan([text], OutputContext())
    assert shown == (
        "Mail [REDACTED_EMAIL_1], [REDACTED_EMAIL_1] or [REDACTED_EMAIL_2]; "
        "call [REDACTED_PHONE_1]."
    )
    assert report.verdict is Verdict.REDACT
    assert [text[each.start : each.end] for each in report.findings] == [
        "bob@example.com",
        "BOB@example.com",
        "eve@example.com",
        "212-555-0123",
    ]


def test_new_values_are_numbered_after_those_of_the_user():
    assert scan(["bob@example.com"])[0] == "[REDACTED_EMAIL_2]"


def test_placeholders_are_turned_back_for_the_user_and_stay_in_the_cache():
    shown, report = scan(list("To [REDACTED_EMAIL_1], not [REDACTED_EMAIL_9]."))
    assert shown == "To ada@lovelace.org, not [REDACTED_EMAIL_9]."
    assert report.cacheable_text == "To [REDACTED_EMAIL_1], not [REDACTED_EMAIL_9]."
    assert report.verdict is Verdict.ALLOW


def test_an_answer_may_repeat_what_the_user_sent():
    shown, report = scan(["You are zoe@example.net or ada@lovelace.org."])
    assert shown == "You are zoe@example.net or ada@lovelace.org."
    assert report.cacheable_text == "You are [REDACTED_EMAIL_2] or [REDACTED_EMAIL_1]."
    assert {each.action for each in report.findings} == {GuardrailAction.RESTORE}


def test_nothing_follows_a_block():
    scanner = checks().scan_output(OutputContext())
    scanner.feed("a DROP TABLE x ")
    assert scanner.feed("more") == scanner.end() == []
    assert scanner.blocking_finding.rule_id == "banned_output.destructive_sql"


def test_prose_is_released_at_each_word_boundary():
    prose = (
        "The committee met on Tuesday to discuss 3 proposals, and after a long debate it chose "
        "the second one; the chair said (with some relief) that it would cost 40% less. "
    ) * 3
    words = [word + " " for word in prose.split(" ")[:-1]]
    held = sum(
        released != word for released, word in zip(released_after_each(words), words, strict=True)
    )
    assert held <= len(words) * 0.1


def test_nothing_is_held_before_the_word_that_is_being_written():
    """Tokenizers put the space before the word, so that the last one is always unfinished."""
    prose = (
        "The recipe: 1. Whisk three eggs; 2. add 250 grams of flour (sifted), and wait. It's the "
        "cook's choice whether to bake it for 40 minutes: some do, others don't."
    )
    words = re.findall(r"\s*\S+", prose)
    so_far, shown = "", ""
    free = 0
    for word, released in zip(words, released_after_each(words), strict=True):
        so_far, shown = so_far + word, shown + released
        free += not so_far[len(shown) :].strip().count(" ")
    assert free >= len(words) * 0.9


def test_the_longest_answer_of_a_policy_ends_there():
    policy = replace(default_policy(), max_answer_characters=10)
    for pieces in (["bob@example.com ok"], list("Hello there, you")):
        scanner = Checks(policy, PATTERN_RULES).scan_output(OutputContext())
        steps = [step for piece in pieces for step in scanner.feed(piece)]
        assert scanner.end() == []
        shown = "".join(step for step in steps if isinstance(step, str))
        assert shown == "".join(pieces)[:10]
        assert scanner.blocking_finding.rule_id == "limit.answer_length"
        assert scanner.blocking_finding.start == 10


def test_an_answer_of_the_longest_length_is_whole():
    policy = replace(default_policy(), max_answer_characters=5)
    scanner = Checks(policy, []).scan_output(OutputContext())
    assert ["Hello", *scanner.end()] == scanner.feed("Hello")
    assert scanner.report().verdict is Verdict.ALLOW


def test_a_long_answer_may_only_be_flagged():
    actions = {("limit.answer_length", FindingStage.OUTPUT): GuardrailAction.FLAG}
    policy = Policy(name="mild", actions=actions, max_answer_characters=5)
    scanner = Checks(policy, []).scan_output(OutputContext())
    assert "".join(map(str, (*scanner.feed("Hello"), *scanner.feed(" you")))) == "Hello you"
    assert scanner.feed("!") == ["!"]
    assert [each.rule_id for each in scanner.report().findings] == ["limit.answer_length"]


def test_an_endless_answer_is_refused():
    limits = Limits(max_answer_bytes=8)
    scanner = Checks(default_policy(), [], limits).scan_output(OutputContext())
    assert scanner.feed("äö")
    assert scanner.feed("ü..")
    with pytest.raises(InputTooLarge):
        scanner.feed("ß")


def test_a_context_above_its_limit_is_refused():
    checks = Checks(default_policy(), [], Limits(max_context_bytes=8))
    with pytest.raises(InputTooLarge):
        checks.scan_output(OutputContext(system_text="four", user_texts=("fünf",)))
