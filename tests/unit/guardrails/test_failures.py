"""A rule that raises an error is named, counted and treated as its action says."""

import base64
from dataclasses import replace

import pytest
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.classify.classifier import EMPTY
from parley_services.guardrails.classify.judge import Judge
from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.own_values import own_values
from parley_services.guardrails.matching.placeholders import Numbering
from parley_services.guardrails.policy.policy import Policy
from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.guardrails.rules import PATTERN_RULES
from parley_services.guardrails.rules.classified import INJECTION
from parley_services.guardrails.streams.output_scanner import OutputContext, OutputScanner
from parley_services.guardrails.streams.scan_rules import ScanRules
from parley_services.guardrails.streams.stream_plan import StreamPlan
from parley_services.guardrails.verdict import Verdict
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Placeholder, Severity
from parley_services.kit.chat.input_source import InputText

POLICY = Policy(name="test")
SQL = next(rule for rule in PATTERN_RULES if rule.info.rule_id == "banned_output.destructive_sql")
EMAIL = next(rule for rule in PATTERN_RULES if rule.info.rule_id == "pii.email")


def broken(value):
    raise ZeroDivisionError


def rule(action, **changes):
    info = RuleInfo(
        rule_id="test.secret_word",
        stages=frozenset(FindingStage),
        action=action,
        severity=Severity.LOW,
        category="test",
        description="The word xyzzy.",
        source="https://en.wikipedia.org/wiki/Xyzzy_(computing)",
    )
    return PatternRule(
        info=info, patterns=(r"\bxyzzy\b",), sees_through=True, label="WORD", **changes
    )


def check(text, *rules):
    return Checks(POLICY, rules).check_input([InputText(text=text)])


def scan(pieces, *rules, context=None):
    scanner = Checks(POLICY, rules).scan_output(context or OutputContext())
    steps = [step for piece in pieces for step in scanner.feed(piece)]
    steps += scanner.end()
    return "".join(step for step in steps if isinstance(step, str)), scanner.report()


VIEWS = {
    "plain": "say xyzzy now",
    "rot13": "say klmml now",
    "backwards": "say yzzyx now",
    "escaped": "say %78yzzy now",
    "base64": f"say {base64.b64encode(b'well, xyzzy is it').decode()} now",
    "hexadecimal": f"say {b'well, xyzzy is it'.hex()} now",
}


@pytest.mark.parametrize("text", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("action", [GuardrailAction.BLOCK, GuardrailAction.REDACT])
def test_a_rule_that_would_stop_something_stops_it_when_it_fails(text, action):
    failing = rule(action, accept=broken)
    report = check(text, failing)
    assert report.failed_rule_ids == ("test.secret_word",)
    assert report.verdict is Verdict.BLOCK
    for pieces in ([text], list(text)):
        shown, report = scan(pieces, failing)
        assert shown == "say "
        assert report.failed_rule_ids == ("test.secret_word",)
        assert report.verdict is Verdict.BLOCK


@pytest.mark.parametrize("text", VIEWS.values(), ids=VIEWS)
def test_a_rule_that_only_flags_does_not_stop_anything(text):
    failing = rule(GuardrailAction.FLAG, accept=broken)
    report = check(text, failing)
    assert (report.verdict, report.failed_rule_ids) == (Verdict.ALLOW, ("test.secret_word",))
    shown, report = scan([text], failing)
    assert (shown, report.verdict) == (text, Verdict.ALLOW)
    assert report.failed_rule_ids == ("test.secret_word",)


def test_the_other_rules_go_on():
    failing = rule(GuardrailAction.FLAG, accept=broken)
    run = base64.b64encode(b"first xyzzy, and then drop table users").decode()
    for text in ("xyzzy; drop table users", run):
        shown, report = scan([text], failing, SQL)
        assert report.failed_rule_ids == ("test.secret_word",)
        assert report.verdict is Verdict.BLOCK
        assert "drop" not in shown
    assert check("xyzzy bob@example.com", failing, EMAIL).texts[0].text == (
        "xyzzy [REDACTED_EMAIL_1]"
    )


def test_a_rule_that_finds_no_candidate_does_not_fail():
    report = check("nothing here", rule(GuardrailAction.BLOCK, accept=broken))
    assert (report.verdict, report.failed_rule_ids) == (Verdict.ALLOW, ())


def test_a_value_that_cannot_be_compared_is_not_shown():
    failing = rule(GuardrailAction.REDACT, same_value=broken)
    assert check("say xyzzy", failing).verdict is Verdict.BLOCK
    shown, report = scan(["say xyzzy"], failing)
    assert (shown, report.failed_rule_ids) == ("say ", ("test.secret_word",))


def test_a_failure_on_what_the_user_sent_hides_the_value():
    def only_at_the_user(value):
        return broken(value) if value.isupper() else value

    failing = rule(GuardrailAction.REDACT, same_value=only_at_the_user)
    taken = (Placeholder(placeholder="[REDACTED_WORD_1]", original="XYZZY"),)
    shown, report = scan(
        ["say xyzzy"], failing, context=OutputContext(user_texts=("XYZZY",), placeholders=taken)
    )
    assert shown == "say [REDACTED_WORD_2]"
    assert report.failed_rule_ids == ("test.secret_word",)


def test_a_placeholder_whose_value_cannot_be_compared_is_passed_over():
    failures = Failures()
    (hit,) = check_hits(rule(GuardrailAction.REDACT))
    numbering = Numbering(
        failures, [Placeholder(placeholder="[REDACTED_WORD_1]", original="XYZZY")]
    )
    failing = replace(hit, rule=rule(GuardrailAction.REDACT, same_value=broken))
    assert numbering.placeholder(failing, "xyzzy") == "[REDACTED_WORD_2]"
    assert failures.rule_ids == {"test.secret_word"}


def check_hits(given):
    from parley_services.guardrails.matching.text_plan import TextPlan

    return [
        each.hit
        for each in TextPlan([(given, GuardrailAction.REDACT)]).find("xyzzy", Failures()).found
    ]


def test_values_of_a_user_are_found_until_a_rule_fails():
    failures = Failures()
    plan = StreamPlan(
        [
            (rule(GuardrailAction.REDACT, accept=broken), GuardrailAction.REDACT),
            (EMAIL, GuardrailAction.REDACT),
        ]
    )
    found = own_values(plan.finders, ["xyzzy of bob@example.com"], failures)
    assert found == {("EMAIL", "bob@example.com")}
    assert failures.rule_ids == {"test.secret_word"}


class BrokenClassifier:
    def highest_score(self, reading):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("action", "finding_action"),
    [(GuardrailAction.BLOCK, GuardrailAction.BLOCK), (GuardrailAction.FLAG, None)],
)
def test_a_classifier_that_fails(action, finding_action):
    failures = Failures()
    finding = Judge(INJECTION, action, BrokenClassifier()).finding(
        EMPTY, 4, FindingStage.INPUT, failures
    )
    assert (finding and finding.action) is finding_action
    assert failures.rule_ids == {"injection.classifier"}


def test_a_classifier_that_fails_at_an_answer_is_named():
    judge = Judge(INJECTION, GuardrailAction.FLAG, BrokenClassifier())
    scanner = OutputScanner(ScanRules(plan=StreamPlan([]), judges=[judge]), OutputContext())
    assert [*scanner.feed("Hello"), *scanner.end()] == ["Hello"]
    assert scanner.report().failed_rule_ids == ("injection.classifier",)


class BrokenWatch:
    def feed(self, text):
        raise ZeroDivisionError

    def end(self):
        return False


def test_a_watch_for_leaks_that_fails_ends_the_answer():
    scanner = OutputScanner(
        ScanRules(plan=StreamPlan([]), leak_watch=lambda _: BrokenWatch()),
        OutputContext(system_text="Be kind."),
    )
    assert scanner.feed("Hello")[-1].rule_id == "leak.system_prompt"
    assert scanner.report().failed_rule_ids == ("leak.system_prompt",)
