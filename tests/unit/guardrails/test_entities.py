"""Names and addresses, found by a finder that is made by hand."""

import pytest
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.names.entity import EntityKind
from parley_services.guardrails.policy.policy import Policy
from parley_services.guardrails.policy.policy_file import PolicyInvalid, load_policies
from parley_services.guardrails.rules import ALL_RULES, PATTERN_RULES
from parley_services.guardrails.rules.named import entity_rules
from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.guardrails.verdict import Verdict
from parley_services.kit.chat.finding import FindingStage, GuardrailAction
from parley_services.kit.chat.input_source import InputSource, InputText

from tests.support.entities import ListedNames

PERSON, PLACE = EntityKind.PERSON, EntityKind.PLACE
NAMES = {"Anna Bell": PERSON, "ANNA  BELL": PERSON, "Zoë": PERSON, "Łódź": PLACE}
EMAIL = next(rule for rule in PATTERN_RULES if rule.info.rule_id == "pii.email")
RESTORE = next(rule for rule in PATTERN_RULES if rule.info.rule_id == "restore.placeholder")


def checks(finder, **actions):
    policy = Policy(
        name="test",
        actions={(f"pii.{name}", FindingStage.INPUT): action for name, action in actions.items()},
    )
    return Checks(policy, [EMAIL, RESTORE, *entity_rules(finder)])


def check(text, names=NAMES, *, score=0.85, **actions):
    return checks(ListedNames(names, score=score), **actions).check_input([InputText(text=text)])


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Zoë lives in Łódź.", "[REDACTED_PERSON_1] lives in [REDACTED_ADDRESS_1]."),
        (
            "Anna Bell, ANNA  BELL, Zoë",
            "[REDACTED_PERSON_1], [REDACTED_PERSON_1], [REDACTED_PERSON_2]",
        ),
        ("日本 Zoë, Zo\u200bë", "日本 [REDACTED_PERSON_1], [REDACTED_PERSON_1]"),
        ("nobody, nowhere", "nobody, nowhere"),
        ("", ""),
    ],
)
def test_names_are_redacted_with_numbers(text, redacted):
    assert check(text).texts[0].text == redacted


@pytest.mark.parametrize(
    ("text", "names", "redacted"),
    [
        (
            "to Bob bob@example.com Smith now",
            {"Bob bob@example.com Smith": PERSON},
            "to [REDACTED_PERSON_1] [REDACTED_EMAIL_1] [REDACTED_PERSON_2] now",
        ),
        ("to bob@example.com", {"bob": PERSON, "example": PLACE}, "to [REDACTED_EMAIL_1]"),
        (
            "in Paris Hilton",
            {"Paris": PLACE, "Paris Hilton": PERSON},
            "in [REDACTED_PERSON_1]",
        ),
        ("Hi (Bob). So", {"(Bob). ": PERSON, ". ": PLACE}, "Hi ([REDACTED_PERSON_1]). So"),
    ],
)
def test_what_is_certain_goes_before_what_is_likely(text, names, redacted):
    assert check(text, names).texts[0].text == redacted


def test_a_finding_has_its_place_and_score():
    (finding,) = check("日本: Zoë").texts[0].findings
    assert (finding.rule_id, finding.start, finding.end) == ("pii.person_name", 4, 7)
    assert (finding.score, finding.action) == (0.85, GuardrailAction.REDACT)


def test_what_is_unlikely_stays():
    assert check("Zoë", score=0.49).verdict is Verdict.ALLOW


def test_a_policy_says_what_is_done_about_names():
    report = check(
        "Zoë of Łódź", person_name=GuardrailAction.FLAG, address=GuardrailAction.UNSPECIFIED
    )
    assert (report.texts[0].text, report.verdict) == ("Zoë of Łódź", Verdict.FLAG)
    assert "pii.address" not in report.rule_ids
    assert check("Zoë", person_name=GuardrailAction.BLOCK).verdict is Verdict.BLOCK


def test_documents_and_answers_are_not_read():
    finder = ListedNames(NAMES)
    both = checks(finder)
    report = both.check_input([InputText(text="Zoë", source=InputSource.DOCUMENT)])
    scanner = both.scan_output(OutputContext(user_texts=("Zoë",)))
    assert [*scanner.feed("Zoë "), *scanner.end()] == ["Zoë "]
    assert report.texts[0].text == "Zoë"
    assert finder.texts == []
    assert not both.asks_model([InputText(text="Zoë", source=InputSource.DOCUMENT)])


def test_the_answer_has_the_name_and_the_cache_the_placeholder():
    both = checks(ListedNames(NAMES))
    report = both.check_input([InputText(text="I am Anna Bell")])
    scanner = both.scan_output(OutputContext(placeholders=report.placeholders))
    steps = [step for piece in "Hi [REDACTED_PERSON_1]!" for step in scanner.feed(piece)]
    assert "".join([*steps, *scanner.end()]) == "Hi Anna Bell!"
    assert scanner.report().cacheable_text == "Hi [REDACTED_PERSON_1]!"


def test_one_text_is_read_once_for_both_rules():
    finder = ListedNames(NAMES)
    checks(finder).check_input([InputText(text="Zoë of Łódź")])
    assert finder.texts == ["Zoë of Łódź"]


@pytest.mark.parametrize(
    ("action", "verdict"),
    [(GuardrailAction.REDACT, Verdict.BLOCK), (GuardrailAction.FLAG, Verdict.REDACT)],
)
def test_a_finder_that_fails_is_a_rule_that_fails(action, verdict):
    failing = checks(
        ListedNames(NAMES, error=MemoryError()),
        person_name=action,
        address=GuardrailAction.UNSPECIFIED,
    )
    report = failing.check_input([InputText(text="to bob@example.com")])
    assert (report.verdict, report.failed_rule_ids) == (verdict, ("pii.person_name",))
    assert report.texts[0].text == "to [REDACTED_EMAIL_1]"


POLICY = "policies: {default: {rules: {pii.person_name: RULE}}}"


def load(tmp_path, rule, rules):
    path = tmp_path / "policies.yaml"
    path.write_text(POLICY.replace("RULE", rule))
    return load_policies(path, rules)


def test_a_policy_file_names_them_only_where_they_are(tmp_path):
    rules = (*ALL_RULES, *entity_rules(ListedNames(NAMES)))
    (policy,) = load(tmp_path, "redact", rules).all
    assert policy.actions["pii.person_name", FindingStage.INPUT] is GuardrailAction.REDACT
    with pytest.raises(PolicyInvalid, match="not look there"):
        load(tmp_path, "{output: flag}", rules)
    with pytest.raises(PolicyInvalid, match="unknown rule"):
        load(tmp_path, "redact", ALL_RULES)
