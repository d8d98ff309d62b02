"""Numbers in words become digits."""

import re
from typing import Final

_TO_NINETEEN: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_UNITS: Final = {word: number for number, word in enumerate(_TO_NINETEEN.split())}
_TENS: Final = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_SCALES: Final = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
_TO_TWENTIETH: Final = (
    "second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDINALS: Final = {word: number for number, word in enumerate(_TO_TWENTIETH.split(), start=2)}
"""`first` is as often an adverb. `second` is a unit of time, too, but not in the place of `2nd`."""

_WORDS: Final = _UNITS.keys() | _TENS.keys() | _SCALES.keys() | {"dozen"}
NUMBER_WORDS: Final = frozenset(_WORDS | _ORDINALS.keys())

_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PERCENT: Final = frozenset(("percent", "pct"))


def with_digits(tokens: list[str]) -> list[str]:
    """
    Return *tokens*, lower-case words and signs, with each number in words as digits.

    `twenty five` and `twenty-five` in two tokens become `25`, `1,000` becomes `1000`, `third`
    `3rd`, `50 percent` `50%`. The word `one` stays: it is as often a pronoun. A number that
    makes no sense, such as `two three`, stays two numbers.
    """
    if not any(token in NUMBER_WORDS or token[0].isdigit() for token in tokens):
        return tokens
    result: list[str] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token in _WORDS:
            value, length = _number(tokens, at)
            if length > 1 or token != "one":
                result.append(str(value))
                at += length
                continue
        elif token == "a" and tokens[at + 1 : at + 2] and tokens[at + 1] in ("hundred", "thousand"):
            at += 1
            continue
        if token in _ORDINALS:
            result.append(ordinal(_ORDINALS[token]))
        elif _GROUPED.fullmatch(token):
            result.append(token.replace(",", ""))
        elif result and result[-1].isdigit() and _percent(tokens, at):
            result[-1] += "%"
            at += _percent(tokens, at) - 1
        else:
            result.append(token)
        at += 1
    return result


def ordinal(number: int) -> str:
    """Return *number* as `1st`, `2nd`, `3rd`, `4th`."""
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"


def _percent(tokens: list[str], at: int) -> int:
    if tokens[at] in _PERCENT:
        return 1
    return 2 if tokens[at : at + 2] == ["per", "cent"] else 0


def _number(tokens: list[str], start: int) -> tuple[int, int]:
    """Return the number in words that begins at *start*, and how many tokens it takes."""
    total = part = 0
    at = start
    last = ""
    while at < len(tokens):
        token = tokens[at]
        if token in _UNITS and last in ("", "tens", "scale"):
            if last == "tens" and not 0 < _UNITS[token] < 10:
                break
            part += _UNITS[token]
            last = "unit"
        elif token in _TENS and last in ("", "scale"):
            part += _TENS[token]
            last = "tens"
        elif token == "dozen" and last in ("", "unit"):
            part = 12 * max(part, 1)
            last = "end"
        elif token == "hundred" and last in ("", "unit"):
            part = 100 * max(part, 1)
            last = "scale"
        elif token in _SCALES and token != "hundred" and last != "end":
            total += max(part, 1) * _SCALES[token]
            part = 0
            last = "scale"
        elif token == "and" and last == "scale" and at + 1 < len(tokens):
            following = tokens[at + 1]
            # `a hundred and five`, but not `one thousand and one nights` of two things.
            if following not in _UNITS and following not in _TENS:
                break
        else:
            break
        at += 1
    return total + part, at - start
