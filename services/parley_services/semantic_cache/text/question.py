"""A text taken apart once, so that it can be compared with many."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from parley_services.semantic_cache.text import lexicon
from parley_services.semantic_cache.text.canonical import canonical
from parley_services.semantic_cache.text.language import ENGLISH
from parley_services.semantic_cache.text.spelling import POSSESSIVE

_SIGNS = frozenset("%$€£¥+*/=<>^-")
_SUFFIXES = ("ingly", "edly", "ings", "ing", "ies", "ied", "ed", "es", "ly", "s")
_TEXTS: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The words of one text and what the comparison needs of them."""

    form: str
    """The canonical form: equal for two texts if they ask the same."""

    spoken: str
    """The words of the form, as an embedder reads them."""

    language: str
    """As `en`; empty if it is not known."""

    sentences: tuple[tuple[str, ...], ...]
    """The tokens of each sentence."""

    tokens: tuple[str, ...]
    """Words, numbers and signs in canonical form, without possessive endings."""

    content: tuple[str, ...]
    """Stems of the words with a topic, in order, numbers and negations left out."""

    topics: tuple[int, ...]
    """Where in `tokens` the words of `content` stand."""

    numbers: tuple[str, ...]
    """Numbers, letters that name something, as in `vitamin A`, and the signs that compute,
    compare or name a currency, in order."""

    names: frozenset[str]
    """Words that are written as names: capitals inside a sentence, acronyms, words with inner
    capitals, placeholders. Never the first word of a sentence, unless it is an acronym."""

    negations: int
    asks: frozenset[str]
    """The classes of the question words, as `time` or `how many`."""

    is_code: bool
    is_about_words: bool

    @property
    def is_english(self) -> bool:
        """Whether the rules and what was learnt hold for it: both are of English."""
        return self.language == ENGLISH


@lru_cache(maxsize=_TEXTS)
def question_of(text: str) -> Question:
    """Return *text* taken apart. Deterministic, and linear in its length."""
    whole = canonical(text)
    sentences = tuple(
        tuple(word for word in each.words if word != POSSESSIVE and _is_compared(word))
        for each in whole.sentences
    )
    tokens = tuple(word for words in sentences for word in words)
    topics = tuple(
        at
        for at, token in enumerate(tokens)
        if token not in lexicon.FUNCTION_WORDS
        and token not in lexicon.NEGATIONS
        and not is_number(token)
    )
    return Question(
        form=whole.form,
        spoken=whole.spoken,
        language=whole.language,
        sentences=sentences,
        tokens=tokens,
        content=tuple(stem(tokens[at]) for at in topics),
        topics=topics,
        numbers=tuple(token for token in tokens if is_number(token)),
        names=frozenset().union(*(each.names for each in whole.sentences)),
        negations=sum(token in lexicon.NEGATIONS for token in tokens),
        asks=_asks(tokens),
        is_code=whole.is_code,
        is_about_words=whole.is_about_words,
    )


def is_number(token: str) -> bool:
    """Return whether *token* is a number, a label or a sign rather than a word."""
    return token[0].isdigit() or token in _SIGNS or (len(token) == 1 and token.isupper())


def _is_compared(token: str) -> bool:
    return token[0].isalnum() or token in _SIGNS or len(token) > 1


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


def _asks(tokens: tuple[str, ...]) -> frozenset[str]:
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
