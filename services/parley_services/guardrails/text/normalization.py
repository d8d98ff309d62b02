"""
How rules see a text: NFKC, without what is invisible, and for some rules without look-alikes.

Each character is folded by itself, never with its neighbours, so that a stream folds to
the same text wherever it is cut and each folded character stems from exactly one original.
Full NFKC would also compose a letter with a combining mark that follows it; no rule is
about composed letters, so nothing is lost.
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Final

_CONTROLS: Final = bytes(each for each in (*range(32), 127) if chr(each) not in "\t\n\r\v\f")
"""ASCII controls that are not white space: nobody sees them, and they split words."""

_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Invisible letters and marks: https://www.unicode.org/reports/tr31/#Default_Ignorable."""

_MAX_CACHED_CHARACTERS: Final = 16_384
"""About 2 MB; more than the characters of any one script but Chinese."""


class Fold(dict[int, str]):
    """A table for `str.translate`, filled as characters are met, and bounded."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        super().__init__()
        self._fold = fold

    def __missing__(self, code_point: int) -> str:
        if len(self) >= _MAX_CACHED_CHARACTERS:
            self.clear()
        self[code_point] = folded = self._fold(chr(code_point))
        return folded


class View:
    """
    A folded text as UTF-8, which knows where each byte comes from.

    RE2 works on UTF-8, so offsets into a view are bytes; `span` turns them into characters
    of the original.
    """

    __slots__ = ("_fold", "_origins", "_text", "data")

    def __init__(self, text: str, data: bytes, fold: Fold | None) -> None:
        self._text = text
        self._fold = fold
        self._origins: Sequence[int] | None = None
        self.data = data

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the characters of the original behind the bytes *start* to *end*."""
        if self._fold is None or start >= end:
            return start, end
        if self._origins is None:
            self._origins = origins(self._text, self._fold)
        return self._origins[start], self._origins[end - 1] + 1


def origins(text: str, fold: Fold) -> Sequence[int]:
    """Return, for each byte of *text* folded, the index of the character it comes from."""
    found: list[int] = []
    for index, symbol in enumerate(text):
        folded = fold[ord(symbol)]
        if folded:
            found.extend([index] * len(folded.encode()))
    return found


def view(text: str, fold: Fold) -> View:
    """Return *text* folded. Lone surrogates, which no valid message holds, become `?`."""
    if is_plain(text):
        return View(text, text.encode(), None)
    return View(text, text.translate(fold).encode(errors="replace"), fold)


def is_plain(text: str) -> bool:
    """Whether every fold leaves *text* as it is and each character is one byte."""
    return text.isascii() and len(text.encode().translate(None, _CONTROLS)) == len(text)


@cache
def visible() -> Fold:
    """Return the fold for all rules: NFKC, without invisible characters."""
    return Fold(_visible)


@cache
def skeleton() -> Fold:
    """
    Return the fold for rules that look for words: also without accents and look-alikes.

    It keeps case, which the rules ignore anyway.
    """
    return Fold(_skeleton)


def _visible(symbol: str) -> str:
    if symbol in "\t\n\r\v\f":
        return symbol
    folded = unicodedata.normalize("NFKC", symbol)
    return "".join(each for each in folded if not _is_invisible(each))


def _is_invisible(symbol: str) -> bool:
    return (
        unicodedata.category(symbol) in ("Cc", "Cf")
        or symbol in _FILLERS
        or "\ufe00" <= symbol <= "\ufe0f"
        or "\U000e0000" <= symbol <= "\U000e0fff"
    )


def _skeleton(symbol: str) -> str:
    letters = _lookalikes()
    if symbol in letters:
        return letters[symbol]
    bare = "".join(
        each
        for each in unicodedata.normalize("NFKD", _visible(symbol))
        if unicodedata.category(each) != "Mn"
    )
    return "".join(letters.get(each, each) for each in bare)


@cache
def _lookalikes() -> dict[str, str]:
    """Return letters of other scripts with the ASCII letter that each looks like."""
    lines = resources.files(__package__).joinpath("lookalikes.txt").read_text("utf-8").splitlines()
    return {symbol: line[0] for line in lines if not line.startswith("#") for symbol in line[2:]}
