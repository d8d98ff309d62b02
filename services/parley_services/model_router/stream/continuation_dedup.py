"""Joins the texts of two models where the second goes on with what the first began."""

from typing import Final

MAX_OVERLAP_CHARACTERS: Final = 100_000
"""How far back a repetition is looked for. Models repeat a few words, or all of it."""

MIN_OVERLAP_CHARACTERS: Final = 12
"""A repetition that begins inside a word is taken for one from this length on; shorter
ones happen by chance."""


class ContinuationDedup:
    """
    Lets the continuation of a text through, without what it repeats of that text.

    Text is held back while it may still be a repetition of the end of the prefix, and no
    longer: `feed` returns what is certainly new, `finish` the rest. Of several possible
    repetitions the longest is taken.
    """

    def __init__(self, prefix: str) -> None:
        self._tail = prefix[-MAX_OVERLAP_CHARACTERS:]
        self._held = ""
        self._decided = not prefix
        self._candidates: list[int] | None = None

    def feed(self, text: str) -> str:
        """Return the part of all text so far that is new and was not returned yet."""
        if self._decided:
            return text
        self._held += text
        if not self._held:
            return ""
        if self._candidates is None:
            self._candidates = _positions(self._tail, self._held[0])
        tail, held = self._tail, self._held
        # A candidate lives while the tail from there on and the held text agree.
        self._candidates = [
            start
            for start in self._candidates
            if (
                held.startswith(tail[start:])
                if len(tail) - start <= len(held)
                else tail.startswith(held, start)
            )
        ]
        if self._candidates and len(tail) - self._candidates[0] > len(held):
            return ""  # The longest one is not complete yet.
        return self._decide()

    def finish(self) -> str:
        """Return what was held back, when the continuation has ended."""
        if self._decided or not self._held:
            return ""
        tail, held = self._tail, self._held
        self._candidates = [
            start for start in self._candidates or () if held.startswith(tail[start:])
        ]
        return self._decide()

    def _decide(self) -> str:
        self._decided = True
        overlap = 0
        for start in self._candidates or ():
            if self._is_repetition(start):
                overlap = len(self._tail) - start
                break
        fresh, self._held = self._held[overlap:], ""
        return fresh

    def _is_repetition(self, start: int) -> bool:
        length = len(self._tail) - start
        if length >= MIN_OVERLAP_CHARACTERS:
            return True
        at_word_start = start == 0 or not self._tail[start - 1].isalnum()
        return at_word_start and self._tail[start].isalnum()


def _positions(text: str, character: str) -> list[int]:
    positions = []
    found = text.find(character)
    while found >= 0:
        positions.append(found)
        found = text.find(character, found + 1)
    return positions
