"""A small classifier of texts: linear over words, their beginnings and pairs of words."""

import itertools
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from parley_services.guardrails.text.normalization import skeleton, view

BLOCK_WORDS: Final = 20
"""Words of one part of a text; two neighbouring parts are judged by themselves, too, so that
a few sentences in a long document count as much as if they stood alone."""

_TO_WORDS: Final = bytes(
    each if each >= 0x80 or chr(each).isalnum() else 0x20 for each in range(256)
)
_LOWER: Final = bytes(ord(chr(each).lower()) if each < 0x80 else each for each in range(256))
_BEGINNINGS: Final = (4, 5)


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as classifiers read it."""

    parts: Sequence[Set[bytes]]
    """The features of each twenty words: the words in lower case, `begi*` and `begin*` for
    longer ones, and each pair of neighbours, also with the first word of the next part."""


EMPTY: Final = Reading(())
"""A text without words."""


def read(text: str) -> Reading:
    """Return *text* as classifiers read it. Takes about 0.1 ms for 1,000 characters."""
    data = view(text, skeleton()).data
    words = data.translate(_LOWER).translate(_TO_WORDS).split()
    starts = range(0, len(words), BLOCK_WORDS)
    return Reading([_features(words[start : start + BLOCK_WORDS + 1]) for start in starts])


def _features(words: Sequence[bytes]) -> set[bytes]:
    pairs = [first + b" " + second for first, second in itertools.pairwise(words)]
    own = set(words[:BLOCK_WORDS])
    longer = [word for word in own if len(word) > _BEGINNINGS[0]]
    for length in _BEGINNINGS:
        own.update([word[:length] + b"*" for word in longer])
    own.update(pairs)
    return own


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """
    Gives a text the probability of belonging to a class.

    The probability is calibrated: of many texts that get 0.8, about 80 in 100 belong. It
    holds for texts like those it was trained on by `bench.guardrails_train`.
    """

    weights: Mapping[bytes, float]
    bias: float
    """Already divided and shifted for calibration, as the weights are."""

    def score(self, reading: Reading) -> float:
        """Return the probability, 0 to 1, for the text as a whole."""
        return _probability(self._margin(frozenset().union(*self._known(reading))))

    def highest_score(self, reading: Reading) -> float:
        """Return the highest probability, 0 to 1, of the whole and of any forty words in it."""
        known = self._known(reading)
        windows = [first | second for first, second in itertools.pairwise(known)]
        whole = frozenset().union(*known)
        return _probability(max(map(self._margin, (whole, *windows))))

    def _known(self, reading: Reading) -> list[Set[bytes]]:
        keys = self.weights.keys()
        return [part & keys for part in reading.parts]

    def _margin(self, found: Set[bytes]) -> float:
        # The sum must not depend on the order of a set, which differs between processes.
        if not found:
            return -math.inf
        total = math.fsum(map(self.weights.__getitem__, found))
        return self.bias + total / math.sqrt(len(found))


def _probability(margin: float) -> float:
    return 0.0 if margin < -50 else 1 / (1 + math.exp(-margin))


@cache
def load_classifier(name: str) -> Classifier:
    """
    Return the classifier of that *name* from the package.

    The first line of its file is the bias, each other one a weight and its feature.
    """
    file = resources.files(__package__).joinpath("models", f"{name}.txt")
    first, *lines = file.read_bytes().splitlines()
    weights = {}
    for line in lines:
        weight, _, feature = line.partition(b" ")
        weights[feature] = float(weight)
    return Classifier(weights=weights, bias=float(first))
