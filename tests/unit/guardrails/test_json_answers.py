import functools
import itertools
import json

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.policy.policy import HiddenNumbers
from parley_services.guardrails.policy.policy_file import default_policy
from parley_services.guardrails.rules import PATTERN_RULES
from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.guardrails.streams.tool_call_scan import scan_tool_call
from parley_services.guardrails.verdict import Verdict
from parley_services.kit.chat.finding import Finding, GuardrailAction, Placeholder
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType, ToolCall

OWN = OutputContext(
    placeholders=(
        Placeholder(placeholder="[REDACTED_EMAIL_1]", original="ada@lovelace.org"),
        Placeholder(placeholder="[REDACTED_API_KEY_1]", original='key "quoted" \\ back'),
    ),
    user_texts=("write to zoe@example.net",),
    response_format=ResponseFormat(type=ResponseFormatType.JSON_OBJECT),
)


@functools.cache
def checks(**changes):
    from dataclasses import replace

    return Checks(replace(default_policy(), **changes), PATTERN_RULES)


def scan(pieces, context=OWN, **changes):
    scanner = checks(**changes).scan_output(context)
    steps = [step for piece in pieces for step in scanner.feed(piece)]
    steps += scanner.end()
    return "".join(step for step in steps if isinstance(step, str)), scanner.report()


def call(arguments, context=OWN, **changes):
    scanner = checks(**changes).scan_output(context)
    steps = scan_tool_call(scanner, ToolCall(id="c", name="send", arguments_json=arguments))
    (given,) = [step for step in steps if isinstance(step, ToolCall)] or [None]
    return given and given.arguments_json, scanner


TEXTS = st.lists(
    st.sampled_from(
        [
            "bob@example.com",
            "zoe@example.net",
            "[REDACTED_EMAIL_1]",
            "[REDACTED_API_KEY_1]",
            "4111 1111 1111 1111",
            "078-05-1120",
            "+44 20 7946 0018",
            "sk-proj-a8Fj29dkL0qWzX7vB3nM5tYp",
            "DROP TABLE",
            "2001:db8::8a2e:370:7334",
            ' "x" ',
            "\\",
            "\n",
            "é",
            "😀",
            "\u200b",
            "word ",
        ]
    )
    | st.text(max_size=3),
    max_size=4,
).map("".join)
NUMBERS = st.sampled_from([4111111111111111, -4155552671, 3.14, 1e300, 0]) | st.integers(
    -(10**16), 10**16
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def cut_json(draw):
    text = json.dumps(
        draw(VALUES), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))
    )
    if draw(st.booleans()):
        text = text.replace("@", "\\u0040")
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=16)))
    return text, [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]


@settings(max_examples=300, deadline=None)
@given(cut_json())
@example(('{"a": "\\ud83d\\ude00"}', ['{"a": "\\ud8', "3d\\u", 'de00"}']))
@example(('[-4155552671, "\\', ["[-", "415555267", '1, "', "\\"]))
def test_the_result_does_not_depend_on_the_cutting(cut):
    text, pieces = cut
    assert scan(pieces) == scan([text])
    assert scan(list(text)) == scan([text])


@settings(max_examples=300, deadline=None)
@given(cut_json())
def test_json_stays_json_unless_it_is_stopped(cut):
    shown, report = scan(cut[1])
    if report.verdict is not Verdict.BLOCK:
        orjson.loads(shown)
        orjson.loads(report.cacheable_text)


@settings(max_examples=300, deadline=None)
@given(cut_json())
def test_the_arguments_of_a_call_stay_json(cut):
    arguments, scanner = call(cut[0])
    if arguments is not None:
        orjson.loads(arguments)
    else:
        assert scanner.blocking_finding is not None


@settings(max_examples=100, deadline=None)
@given(st.text('{}[]",:\\u0041d83-9 \n', max_size=30), st.data())
def test_what_is_no_json_does_not_depend_on_the_cutting_either(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
    assert scan(pieces) == scan([text])


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ('{"card": 4111111111111111, "n": 7}', '{"card": "[REDACTED_CARD_1]", "n": 7}'),
        ('{"mail":"bob\\u0040corp.example"}', '{"mail":"[REDACTED_EMAIL_2]"}'),
        ('{"to": "[REDACTED_EMAIL_1]"}', '{"to": "ada@lovelace.org"}'),
        ('{"key": "[REDACTED_API_KEY_1]"}', '{"key": "key \\"quoted\\" \\\\ back"}'),
        ('{"me": "zoe\\u0040example.net"}', '{"me": "zoe\\u0040example.net"}'),
        ('{"ssn": "078051120"}', '{"ssn": "[REDACTED_SSN_1]"}'),
        ('{"a": ["4111", 1111, 1111, 1111]}', '{"a": ["4111", 1111, 1111, 1111]}'),
        ('{"bob@example.com": 1}', '{"[REDACTED_EMAIL_2]": 1}'),
        ('{"a": "\\u00e9\\n\\u003d"}', '{"a": "\\u00e9\\n\\u003d"}'),
        ('{"a": 1.5, "b": [-2, 3e4]}', '{"a": 1.5, "b": [-2, 3e4]}'),
    ],
)
def test_values_are_replaced_inside_of_json(answer, shown):
    assert scan([answer])[0] == shown
    assert call(answer)[0] == shown


def test_a_banned_text_is_found_through_escapes():
    shown, report = scan(['{"sql": "a DROP\\u0020TABLE users"}'])
    assert (shown, report.verdict) == ('{"sql": "a ', Verdict.BLOCK)


def test_strings_are_released_before_they_are_over():
    scanner = checks().scan_output(OWN)
    assert "".join(map(str, scanner.feed('{"a": "The committee met and'))) == (
        '{"a": "The committee met '
    )


def test_a_number_that_must_be_hidden_stops_the_answer_where_the_policy_says_so():
    shown, report = scan(['{"card": 4111111111111111, "n": 7}'], hidden_numbers=HiddenNumbers.BLOCK)
    assert (shown, report.verdict) == ('{"card": ', Verdict.BLOCK)
    assert call('{"card": 4111111111111111}', hidden_numbers=HiddenNumbers.BLOCK)[0] is None


class TestToolCalls:
    def test_a_banned_text_stops_the_answer(self):
        arguments, scanner = call('{"query": "x; DROP TABLE users"}')
        assert arguments is None
        assert scanner.feed("more") == []
        finding = scanner.blocking_finding
        assert finding.rule_id == "banned_output.destructive_sql"
        assert '{"query": "x; DROP TABLE users"}'[finding.start : finding.end] == "DROP TABLE"

    def test_what_is_spread_over_values_counts_as_one(self):
        assert call('{"a": "DROP", "b": "TABLE users"}')[0] is None
        arguments, scanner = call('{"a": "4111 1111", "b": "1111 1111"}')
        assert arguments == '{"a": "[REDACTED_CARD_1]", "b": ""}'
        assert [each.rule_id for each in scanner.findings] == ["pii.payment_card"]

    def test_placeholders_stay_where_the_policy_says_so(self):
        given = '{"to": "[REDACTED_EMAIL_1]"}'
        assert call(given, restore_tool_arguments=False)[0] == given
        assert call(given, restore=False)[0] == given

    def test_a_value_has_one_placeholder_in_text_and_calls(self):
        scanner = checks().scan_output(OutputContext())
        steps = scanner.feed("bob@example.com. ")
        steps += scan_tool_call(
            scanner, ToolCall(id="c", name="n", arguments_json='{"to": "bob@example.com"}')
        )
        shown = [
            step.arguments_json if isinstance(step, ToolCall) else step
            for step in steps
            if not isinstance(step, Finding)
        ]
        assert shown == ["[REDACTED_EMAIL_1]", ". ", '{"to": "[REDACTED_EMAIL_1]"}']

    def test_the_system_text_leaks_by_arguments_too(self):
        system_text = "one two three four five six seven eight nine ten eleven twelve"
        context = OutputContext(system_text=system_text)
        arguments, scanner = call(
            orjson.dumps({"a": system_text[:27], "b": system_text[28:]}).decode(), context
        )
        assert arguments is None
        assert scanner.blocking_finding.rule_id == "leak.system_prompt"

    @pytest.mark.parametrize("arguments", ["", "no json bob@example.com", "[" * 2_000, '{"a": '])
    def test_arguments_that_are_no_json_are_judged_as_text(self, arguments):
        assert call(arguments)[0] == arguments.replace("bob@example.com", "[REDACTED_EMAIL_2]")

    def test_every_action_is_reported(self):
        _, scanner = call('{"a": "bob@example.com", "b": "[REDACTED_EMAIL_1]"}')
        assert [each.action for each in scanner.findings] == [
            GuardrailAction.REDACT,
            GuardrailAction.RESTORE,
        ]
