"""What the choice of `auto` looks at in a text."""

import math
import re
from itertools import pairwise
from typing import Final
from zlib import crc32

GRAM_BUCKETS: Final = 1 << 15
"""Words and pairs of words are told apart by a hash of 15 bits; 5,600 questions have some
60,000 of them, most of which occur once and say nothing."""

MAX_CHARACTERS: Final = 4000
MAX_WORDS: Final = 200
"""What a request is about stands at its beginning; more words would only cost time."""

SURFACE: Final = ("length", "code", "numbers", "lines", "question", "capital")
"""The names of what `surface` returns."""

_WORD: Final = re.compile(r"\d+|[^\W\d]+|[^\w\s]")
_CODE: Final = re.compile(
    r"```|\b(?:def|class|import|SELECT|function|const|#include)\b|[{};]\s*$", re.MULTILINE
)
_NUMBER: Final = re.compile(r"\d+")
_REASONING: Final = re.compile(
    r"\b(?:prove|derive|step[- ]by[- ]step|explain why|compare|analy[sz]e|optimi[sz]e|design"
    r"|trade-?offs?|debug|refactor|algorithm|calculate|equation|theorem|probability|strategy"
    r"|implications?|evaluate|critique)\b",
    re.IGNORECASE,
)


def grams(text: str) -> set[int]:
    """Return the buckets of the words and pairs of words of *text*; all numbers are alike."""
    words = [
        "0" if word.isdigit() else word
        for word in _WORD.findall(text[:MAX_CHARACTERS].lower())[:MAX_WORDS]
    ]
    found = {crc32(word.encode()) % GRAM_BUCKETS for word in words}
    found.update(crc32(f"{one} {other}".encode()) % GRAM_BUCKETS for one, other in pairwise(words))
    return found


def surface(text: str) -> tuple[float, ...]:
    """Return what the form of *text* says, in the order of `SURFACE`."""
    head = text[:MAX_CHARACTERS]
    return (
        math.log2(max(len(text), 1)),
        float(bool(_CODE.search(head))),
        float(min(len(_NUMBER.findall(head)), 10)),
        float(min(head.count("\n"), 10)),
        float(text.rstrip().endswith("?")),
        float(text[:1].isupper()),
    )


def reasoning_word_count(text: str) -> int:
    """Return how many words of *text* ask for reasoning."""
    return len(_REASONING.findall(text[:MAX_CHARACTERS]))
