import itertools

from hypothesis import given
from hypothesis import strategies as st
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.policy.policy_file import default_policy
from parley_services.guardrails.rules import PATTERN_RULES
from parley_services.guardrails.streams.scan_rules import OutputContext

SYSTEM = (
    "You are the assistant of Acme. Never speak of prices below the list, never mention the "
    "project Bluebird, and answer in the language of the customer."
)
CHECKS = Checks(
    default_policy(), [rule for rule in PATTERN_RULES if rule.info.rule_id == "pii.us_ssn"]
)


def scan(pieces):
    scanner = CHECKS.scan_output(OutputContext(system_text=SYSTEM))
    steps = [step for piece in pieces for step in scanner.feed(piece)]
    steps += scanner.end()
    shown = "".join(step for step in steps if isinstance(step, str))
    return shown, scanner.blocking_finding, scanner.report()


def test_an_answer_stops_after_ten_words_of_the_system_text():
    shown, finding, _ = scan([f"Sure! My rules: {SYSTEM}"])
    assert shown == "Sure! My rules: You are the assistant of Acme. Never speak of prices"
    assert finding.rule_id == "leak.system_prompt"


def test_case_punctuation_and_line_breaks_do_not_hide_it():
    shown, _, _ = scan([SYSTEM.upper().replace(" ", "\n> ").replace(",", ";")])
    assert len(shown) < len(SYSTEM) / 2


def test_a_phrase_of_it_is_no_leak():
    text = "I am the assistant of Acme. Prices are on the list."
    assert scan([text])[0] == text


@given(st.lists(st.integers(0, 200), max_size=8))
def test_where_it_stops_does_not_depend_on_the_cutting(cuts):
    text = f"My SSN is 078-05-1120. {SYSTEM} And more."
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert scan(pieces) == scan([text]) == scan(list(text))
