"""What a trained verifier sees of two questions, as numbers. Symmetric in the two."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from services.semantic_cache import lexicon
from services.semantic_cache.question import Question, missing, question_of

Embedding = npt.NDArray[np.float32]

FEATURES: Final = (
    "cosine",
    "cosine_lower",
    "shared_share",
    "least_coverage",
    "most_coverage",
    "only_fewer",
    "only_more",
    "bigram_share",
    "length_ratio",
    "length",
    "least_alignment",
    "mean_alignment",
    "unaligned_weight",
    "least_weighted_coverage",
    "most_weighted_coverage",
    "same_first_word",
    "same_last_topic",
    "same_order",
    "asks_differ",
    "names_missing",
    "scope_words_missing",
    "function_words_differ",
    "refused",
)


class FeatureExtractor:
    """
    Compares texts by their words and by the vectors of both, which *embed* makes.

    Keeps the vectors of the last texts and words, since a lookup compares one text with
    several and words come again.
    """

    def __init__(self, embed: Callable[[str], Embedding]) -> None:
        self._text = lru_cache(maxsize=8_192)(embed)
        self._word = lru_cache(maxsize=32_768)(embed)

    def of(self, asked: str, stored: str, refusal: str) -> list[float]:
        """Return the numbers for `FEATURES`; *refusal* is what the rules said."""
        one, other = question_of(asked), question_of(stored)
        shared = len(one.content) - len(missing(one.content, other.content))
        only_one = missing(one.content, other.content)
        only_other = missing(other.content, one.content)
        coverages = sorted((shared / max(1, len(one.content)), shared / max(1, len(other.content))))
        alignments = self._alignments(only_one, only_other)
        weighted = sorted(
            (self._coverage(one.content, only_one), self._coverage(other.content, only_other))
        )
        counts = sorted((_topics(only_one), _topics(only_other)))
        lengths = sorted((len(one.tokens), len(other.tokens)))
        return [
            float(self._text(asked) @ self._text(stored)),
            float(self._text(asked.lower()) @ self._text(stored.lower())),
            2 * shared / max(1, len(one.content) + len(other.content)),
            coverages[0],
            coverages[1],
            float(counts[0]),
            float(counts[1]),
            _bigram_share(one.tokens, other.tokens),
            lengths[0] / max(1, lengths[1]),
            float(lengths[1]),
            min((each for each, _ in alignments), default=1.0),
            sum(each for each, _ in alignments) / len(alignments) if alignments else 1.0,
            sum(weight * (1.0 - each) for each, weight in alignments),
            weighted[0],
            weighted[1],
            float(one.tokens[:1] == other.tokens[:1]),
            float(one.content[-1:] == other.content[-1:]),
            float(_in_same_order(one.content, other.content)),
            float(one.asks != other.asks),
            float(_names_missing(one, other)),
            float(_scope_missing(one, other)),
            float(len(_functions(one) ^ _functions(other))),
            float(bool(refusal)),
        ]

    def _alignments(self, one: Sequence[str], other: Sequence[str]) -> list[tuple[float, float]]:
        """Return each unmatched word's best cosine on the other side, and its weight."""
        one, other = one[:12], other[:12]
        if not one and not other:
            return []
        if not one or not other:
            return [(0.0, self._weight(word)) for word in (*one, *other)]
        table = (
            np.stack([self._word(word) for word in one])
            @ np.stack([self._word(word) for word in other]).T
        )
        best = [*table.max(axis=1).tolist(), *table.max(axis=0).tolist()]
        return [
            (cosine, self._weight(word)) for cosine, word in zip(best, (*one, *other), strict=True)
        ]

    def _coverage(self, content: Sequence[str], only: Sequence[str]) -> float:
        total = sum(map(self._weight, content))
        return 1.0 - sum(map(self._weight, only)) / total if total else 1.0

    def _weight(self, word: str) -> float:
        """Return how much a word says: long words are rare ones (Zipf's law of abbreviation)."""
        return 0.25 if word in lexicon.POLITE_WORDS else min(len(word), 10) / 10


def _topics(words: Sequence[str]) -> int:
    return sum(word not in lexicon.POLITE_WORDS for word in words)


def _functions(question: Question) -> frozenset[str]:
    return frozenset(question.tokens) & lexicon.FUNCTION_WORDS


def _bigram_share(one: Sequence[str], other: Sequence[str]) -> float:
    first, second = set(pairwise(one)), set(pairwise(other))
    return 2 * len(first & second) / max(1, len(first) + len(second))


def _in_same_order(one: Sequence[str], other: Sequence[str]) -> bool:
    common = set(one) & set(other)
    first = [word for word in one if word in common]
    return first == [word for word in other if word in common]


def _names_missing(one: Question, other: Question) -> int:
    return len(one.names - set(other.tokens)) + len(other.names - set(one.tokens))


def _scope_missing(one: Question, other: Question) -> int:
    return len((set(one.tokens) ^ set(other.tokens)) & lexicon.SCOPE_WORDS)
