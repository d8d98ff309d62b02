"""What a text's words are to the verifier: vectors, weights, places. Made once a text."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, Protocol
from zlib import crc32

import numpy as np
import numpy.typing as npt

from parley_services.semantic_cache.verify import lexicon
from parley_services.semantic_cache.verify.question import Question, question_of

Array = npt.NDArray[np.float32]

MAX_WORDS: Final = 32
"""Words of a text that are compared one by one; what comes after counts as a whole only."""

_TEXTS: Final = 1_024
_WORDS: Final = 16_384
_BITS: Final = 1_021
"""A prime, so that sums of products of letters spread evenly."""

_FORMS: Final = {
    word: number
    for number, words in enumerate(
        (
            "how",
            "what which",
            "why",
            "who whom whose",
            "when",
            "where",
            "is are was were am",
            "do does did",
            "can could may might",
            "should shall must",
            "will would",
            "if",
            "i my we",
        ),
        start=1,
    )
    for word in words.split()
}
"""How a question begins, as a number; 0 for all else."""


class WordEmbedder(Protocol):
    """Gives vectors to words and texts, of one length and from one space."""

    def word(self, word: str) -> Array:
        """Return the vector of one word; its length says how much the word matters."""
        ...

    def vector(self, text: str) -> Array:
        """Return the vector of a text, of length 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Words:
    """One text as the verifier compares it."""

    text: str
    question: Question
    vectors: Array
    """Of the first `MAX_WORDS` words, one a row, each with its own length."""

    lengths: Array
    """The lengths of the vectors: how much each word matters."""

    weights: list[float]
    """The same as numbers."""

    topics: list[int]
    """Rows of the words with a topic."""

    content: tuple[str, ...]
    """The stems of those words."""

    content_weight: float
    content_sum: Array
    tokens: frozenset[str]
    functions: frozenset[str]
    scopes: frozenset[str]
    bigrams: int
    """Pairs of neighbours among the words, as bits of their hashes."""

    trigrams: int
    """The same of three letters each."""

    token_places: dict[str, int]
    """For each word, its places as bits."""

    content_places: dict[str, int]
    form: int


class WordReader:
    """
    Takes texts apart and keeps the last 1,024 of them and the last 16,384 words.

    About 35 MiB when full. A lookup compares one text with several, and words come again.
    """

    def __init__(self, embedder: WordEmbedder) -> None:
        self._embedder = embedder
        self._word = lru_cache(maxsize=_WORDS)(self._vector_of_word)
        self.read = lru_cache(maxsize=_TEXTS)(self._read)

    def cosine(self, one: str, other: str) -> float:
        """Return how near the two texts are as a whole, -1 to 1."""
        return float(self._embedder.vector(one) @ self._embedder.vector(other))

    def _vector_of_word(self, word: str) -> npt.NDArray[np.float16]:
        return self._embedder.word(word).astype(np.float16)

    def _read(self, text: str) -> Words:
        question = question_of(text)
        shown = question.tokens[:MAX_WORDS]
        # Two dimensions, even without a word.
        vectors = np.array([self._word(word) for word in shown or ("",)], dtype=np.float32)
        vectors = vectors[: len(shown)]
        lengths: Array = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        weights: list[float] = lengths.tolist()
        topics = [at for at in question.topics if at < MAX_WORDS]
        content = question.content[: len(topics)]
        tokens = frozenset(question.tokens)
        return Words(
            text=text,
            question=question,
            vectors=vectors,
            lengths=lengths,
            weights=weights,
            topics=topics,
            content=content,
            content_weight=sum(weights[at] for at in topics),
            content_sum=vectors[topics].sum(axis=0),
            tokens=tokens,
            functions=tokens & lexicon.FUNCTION_WORDS,
            scopes=tokens & lexicon.SCOPE_WORDS,
            bigrams=_bits(crc32(f"{a} {b}".encode()) for a, b in pairwise(question.tokens)),
            trigrams=trigrams_of(text),
            token_places=places_of(shown),
            content_places=places_of(content),
            form=_FORMS.get(question.tokens[0], 0) if question.tokens else 0,
        )


def similarities(one: Words, other: Words) -> Array:
    """Return the cosines of the words, a row for each of *one*, a column for each of *other*."""
    table: Array = one.vectors @ other.vectors.T
    table /= np.maximum(one.lengths[:, None] * other.lengths, np.float32(1e-6))
    return table


def trigrams_of(text: str) -> int:
    """Return which runs of three letters *text* has, as bits of their hashes."""
    letters = f" {text.lower()} ".encode()
    return _bits(
        961 * first + 31 * second + third
        for first, second, third in zip(letters, letters[1:], letters[2:], strict=False)
    )


def places_of(words: Iterable[str]) -> dict[str, int]:
    """Return for each of *words* its places, as bits."""
    places: dict[str, int] = {}
    bit = 1
    for word in words:
        places[word] = places.get(word, 0) | bit
        bit <<= 1
    return places


def longest_common(words: Iterable[str], places: dict[str, int], length: int) -> int:
    """
    Return how many of *words* also stand, in the same order, in the text of *places*.

    The longest common subsequence by the bits of one integer (Hyyrö, "Bit-parallel LCS-length
    computation revisited", 2004). *length* is that of the other text in words.
    """
    full = (1 << length) - 1
    row = full
    for word in words:
        matches = row & places.get(word, 0)
        row = ((row + matches) | (row - matches)) & full
    return length - row.bit_count()


def _bits(hashes: Iterable[int]) -> int:
    result = 0
    for each in hashes:
        result |= 1 << (each % _BITS)
    return result
