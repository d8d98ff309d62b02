"""Payment card numbers."""

import re

from parley_services.guardrails.patterns.regex import compile_regex
from parley_services.guardrails.rule import Candidate, PatternRule, RuleInfo, Span
from parley_services.guardrails.rules.pii.evidence import found, is_inside_token, words_near
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_LENGTHS = (19, 18, 17, 16, 15, 14, 13, 12)

_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4, 4, frozenset({13, 16, 19})),
    (51, 55, frozenset({16})),
    (2221, 2720, frozenset({16})),
    (34, 34, frozenset({15})),
    (37, 37, frozenset({15})),
    (300, 305, frozenset(range(14, 20))),
    (36, 36, frozenset(range(14, 20))),
    (38, 39, frozenset(range(14, 20))),
    (3528, 3589, frozenset(range(16, 20))),
    (2131, 2131, frozenset({15})),
    (1800, 1800, frozenset({15})),
    (6011, 6011, frozenset(range(16, 20))),
    (644, 649, frozenset(range(16, 20))),
    (65, 65, frozenset(range(16, 20))),
    (62, 62, frozenset(range(16, 20))),
    (2200, 2204, frozenset(range(16, 20))),
    (50, 50, frozenset(range(12, 20))),
    (56, 59, frozenset(range(12, 20))),
    (60, 69, frozenset(range(12, 20))),
)
"""First and last prefix of an issuer's range, with the lengths of its numbers: Visa,
Mastercard, American Express, Diners Club, JCB, Discover, UnionPay, Mir, Maestro."""


_BIG_ISSUERS = 15
"""So many of them, from the first one on, have numbers of one length that are known at a look;
those of the others are like any number."""


def _longest_valid(candidate: str) -> Span | None:
    """Return the longest beginning of *candidate* that is a card's number."""
    if not _is_grouped_evenly(candidate):
        return None
    places = [index for index, each in enumerate(candidate) if each.isdigit()]
    digits = "".join(candidate[place] for place in places)
    for length in _LENGTHS:
        ends_in_a_group = len(digits) == length or (
            len(digits) > length and places[length] > places[length - 1] + 1
        )
        if ends_in_a_group and _is_card(digits[:length]):
            return 0, places[length - 1] + 1
    return None


def _is_grouped_evenly(candidate: str) -> bool:
    """Whether it is written in groups of three digits and more, or all of one size: a decimal
    and the figures of a table are not."""
    sizes = {len(group) for group in _SEPARATORS.split(candidate)[:4]}
    return min(sizes) >= 3 or len(sizes) == 1


_SEPARATORS = re.compile(r"[ .\-]+")
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_PLAIN = bytes.maketrans(b"0123456789", bytes(range(10)))


def _passes_luhn(digits: str) -> bool:
    # python-stdnum has it too, ten times slower: too slow for a text full of digits.
    backwards = digits[::-1].encode()
    total = sum(backwards[::2].translate(_PLAIN)) + sum(backwards[1::2].translate(_DOUBLED))
    return total % 10 == 0


def _is_card(digits: str) -> bool:
    return _passes_luhn(digits) and any(
        first <= int(digits[: len(str(first))]) <= last and len(digits) in lengths
        for first, last, lengths in _ISSUERS
    )


_WORDS = (
    r"card|cards|credit card|visa|mastercard|amex|american express|discover|maestro|jcb|diners"
    r"|unionpay|pan|kreditkarte|karte|carte|tarjeta|carta|cartão|cc|debit"
)
_near = words_near(_WORDS)
_example = words_near(r"test|tests|testing|dummy|example|sample|fake|stripe|sandbox")
_in_groups = compile_regex(
    r"\A(?:\d{4} \d{4} \d{4} \d{4}|\d{4}-\d{4}-\d{4}-\d{4}|\d{4}[ -]\d{6}[ -]\d{4,5})\z"
)


def _in_an_input(candidate: Candidate) -> bool:
    """Take a word near it for the issuers whose numbers have any length."""
    if is_inside_token(candidate):
        return False
    digits = "".join(each for each in candidate.value if each.isdigit())
    return _is_of_fixed_length(digits) or found(_near, candidate.before)


def _in_an_answer(candidate: Candidate) -> bool:
    """Take groups as on a card, or a word near it, and no number that is there for tests."""
    if is_inside_token(candidate) or found(_example, candidate.before):
        return False
    if found(_near, candidate.before):
        return True
    digits = "".join(each for each in candidate.value if each.isdigit())
    return _is_of_fixed_length(digits) and found(_in_groups, candidate.value)


def _is_of_fixed_length(digits: str) -> bool:
    return len(digits) in (14, 15, 16) and any(
        first <= int(digits[: len(str(first))]) <= last and len(digits) in lengths
        for first, last, lengths in _ISSUERS[:_BIG_ISSUERS]
    )


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.payment_card",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.HIGH,
        category="pii",
        description="A payment card's number: an issuer's prefix and length, and the check digit.",
        source="ISO/IEC 7812-1 (Luhn); https://en.wikipedia.org/wiki/Payment_card_number (ranges)",
        baseline=True,
    ),
    patterns=(r"\b\d(?:(?:\.|[ \-]{0,2})\d){11,22}\b",),
    accept=_longest_valid,
    evidence={
        FindingStage.INPUT: _in_an_input,
        FindingStage.CONTEXT: _in_an_input,
        FindingStage.OUTPUT: _in_an_answer,
    },
    label="CARD",
)
