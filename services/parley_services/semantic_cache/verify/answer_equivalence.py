"""Tells whether two answers say the same, so that an entry can learn from a fresh one."""

from typing import Final, Protocol

from parley_services.semantic_cache.partition import normalise
from parley_services.semantic_cache.verify.question import missing, question_of

LEAST_COSINE: Final = 0.80
"""Chosen by hand: two ways to give the same short instructions lie above it, answers about
other things below. Nothing was measured on answers of real models."""


class TextComparison(Protocol):
    """Says how near two texts are."""

    def cosine(self, one: str, other: str) -> float:
        """Return the cosine of two texts' vectors, -1 to 1."""
        ...


def answers_are_equivalent(one: str, other: str, comparison: TextComparison) -> bool:
    """
    Return whether one answer may stand for the other.

    They do if they are equal but for blanks and case, or near by their words, with no number
    in place of another and no negation on one side only. What cannot be told counts as no: an
    entry that learns too little is asked again, one that learns wrongly serves wrongly.
    """
    if normalise(one).casefold() == normalise(other).casefold():
        return True
    first, second = question_of(one), question_of(other)
    if missing(first.numbers, second.numbers) and missing(second.numbers, first.numbers):
        return False
    if bool(first.negations) != bool(second.negations):
        return False
    return comparison.cosine(one, other) >= LEAST_COSINE
