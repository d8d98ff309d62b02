"""Payment card numbers."""

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
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


def _longest_valid(candidate: str) -> Span | None:
    """Return the longest beginning of *candidate* that is a card's number."""
    places = [index for index, each in enumerate(candidate) if each.isdigit()]
    digits = "".join(candidate[place] for place in places)
    for length in _LENGTHS:
        ends_in_a_group = len(digits) == length or (
            len(digits) > length and places[length] > places[length - 1] + 1
        )
        if ends_in_a_group and _is_card(digits[:length]):
            return 0, places[length - 1] + 1
    return None


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
    label="CARD",
)
