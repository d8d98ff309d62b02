"""A text taken apart once, so that it can be compared with many."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from parley_services.semantic_cache.partition import normalise
from parley_services.semantic_cache.verify import lexicon

# Not re2, which is ten times slower here: no part can match the same text in two ways, so
# the time is linear all the same.
_TOKEN = re.compile(
    r"<[A-Za-z_]+\d*>|\[[A-Z_]+\d*\]"  # placeholders of redacted values
    r"|\d+(?:[.,:/]\d+)*(?:st|nd|rd|th)?%?"  # numbers, times, dates, ordinals
    r"|[^\W\d_]+(?:['’][^\W\d_]+)?(?:\+\+|\#)?"  # noqa: RUF001 -- words
    r"|[&%$€£¥+*/=<>^]|-(?=\s*\d)"
)
_CONTRACTIONS = {
    "n't": "not",
    "'s": "is",
    "'re": "are",
    "'ve": "have",
    "'ll": "will",
    "'d": "would",
    "'m": "am",
}
_IRREGULAR = {
    "&": ("and",),
    "can't": ("can", "not"),
    "won't": ("will", "not"),
    "cannot": ("can", "not"),
}
_SIGNS = frozenset("%$€£¥+*/=<>^-")
_TAKES_IS = frozenset(("it", "that", "there", "he", "she"))
_SUFFIXES = ("ingly", "edly", "ings", "ing", "ies", "ied", "ed", "es", "ly", "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The words of one text and what the comparison needs of them."""

    normal: str
    """The text in the form whose equality makes an exact hit."""

    plain: str
    """The same without what changes no question: the capital of a first word such as `How`,
    and the sign at the end."""

    tokens: tuple[str, ...]
    """Lower-case words, numbers and signs; contractions in full, number words in digits."""

    content: tuple[str, ...]
    """Stems of the words with a topic, in order, numbers and negations left out."""

    topics: tuple[int, ...]
    """Where in `tokens` the words of `content` stand."""

    numbers: tuple[str, ...]
    """Numbers and the signs that compute, compare or name a currency, in order."""

    names: frozenset[str]
    """Lower-case words that are written as names: capitals inside a sentence, acronyms,
    words with digits or inner capitals, placeholders. Never the first word of a sentence,
    unless it is written in capitals."""

    negations: int
    asks: frozenset[str]
    """The classes of the question words, as `time` or `how many`."""

    has_code: bool


@lru_cache(maxsize=1_024)
def question_of(text: str) -> Question:
    """Return *text* taken apart. Deterministic, and linear in its length."""
    tokens: list[str] = []
    names: set[str] = set()
    previous_end = -1
    for match in _TOKEN.finditer(text):
        raw = match.group()
        starts_sentence = previous_end < 0 or any(
            sign in ".!?:\n" for sign in text[previous_end : match.start()]
        )
        previous_end = match.end()
        words = _expand(raw)
        tokens += words
        if _is_name(raw, starts_sentence):
            names.add(words[0])
    numbers = tuple(token for token in tokens if token[0].isdigit() or token in _SIGNS)
    topics = tuple(
        at
        for at, token in enumerate(tokens)
        if token not in lexicon.FUNCTION_WORDS
        and token not in lexicon.NEGATIONS
        and not token[0].isdigit()
        and token not in _SIGNS
    )
    normal = normalise(text)
    return Question(
        normal=normal,
        plain=_plain(normal),
        tokens=tuple(tokens),
        content=tuple(stem(tokens[at]) for at in topics),
        topics=topics,
        numbers=numbers,
        names=frozenset(names - lexicon.FUNCTION_WORDS),
        negations=sum(token in lexicon.NEGATIONS for token in tokens),
        asks=_asks(tokens),
        has_code="```" in text or "\n    " in text or "\n\t" in text,
    )


def _plain(normal: str) -> str:
    # Other words mean something by their capitals: `Polish`, `polish`.
    first = normal.split(" ", 1)[0]
    if first == first.capitalize() and first.lower() in lexicon.FUNCTION_WORDS:
        normal = first.lower() + normal[len(first) :]
    return normal.rstrip(" .?!")


@lru_cache(maxsize=8_192)
def stem(word: str) -> str:
    """Return *word* without a common English ending: `resetting`, `resets` → `reset`."""
    if len(word) <= 3 or word.endswith("ss"):
        return word
    for suffix in _SUFFIXES:
        root = word[: -len(suffix)]
        if word.endswith(suffix) and len(root) >= 3:
            if suffix in ("ies", "ied"):
                return root + "y"
            if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "lsz":
                return root[:-1]
            return root.removesuffix("e") if len(root) > 3 else root
    return word.removesuffix("e")


def _expand(raw: str) -> tuple[str, ...]:
    word = raw.lower().replace("’", "'")  # noqa: RUF001
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("n't"):
        return (word[:-3], "not")
    if "'" in word:
        head, _, tail = word.partition("'")
        # `what's` is `what is`, but `Alice's` is not `Alice is`.
        if tail != "s" or head in lexicon.QUESTION_WORDS or head in _TAKES_IS:
            return (head, _CONTRACTIONS.get(f"'{tail}", tail))
        return (head,)
    return (lexicon.NUMBER_WORDS.get(word, word),)


def _is_name(raw: str, starts_sentence: bool) -> bool:
    if raw[0] in "<[":
        return len(raw) > 1
    if not raw[0].isalpha() or raw in ("I", "A"):
        return False
    if any(letter.isupper() for letter in raw[1:]):
        return True
    return raw[0].isupper() and not starts_sentence


def _asks(tokens: list[str]) -> frozenset[str]:
    asks = set()
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if token == "how" and following in lexicon.EXTENTS:
            asks.add(f"how {following}")
        elif token in lexicon.QUESTION_CLASSES:
            asks.add(lexicon.QUESTION_CLASSES[token])
    return frozenset(asks)


def missing(of: tuple[str, ...], other: tuple[str, ...]) -> list[str]:
    """Return the items of *of* that *other* lacks, with their counts, in order."""
    left = Counter(other)
    result = []
    for item in of:
        if left[item] > 0:
            left[item] -= 1
        else:
            result.append(item)
    return result
