"""What the trees see of two questions, as numbers. Symmetric in the two."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from parley_services.semantic_cache.verify import lexicon
from parley_services.semantic_cache.verify.words import Array, Words, longest_common

FEATURES: Final = (
    "cosine",
    "topic_cosine",
    "shared_topics",
    "least_coverage",
    "most_coverage",
    "only_topics",
    "bigrams",
    "trigrams",
    "length_ratio",
    "length",
    "same_order",
    "function_words_differ",
    "function_words_shared",
    "most_unaligned",
    "unaligned",
    "unaligned_share",
    "least_alignment",
    "other_alignment",
    "only_cosine",
    "lightest_unaligned",
    "heaviest_unaligned",
    "first_form",
    "second_form",
    "same_form",
    "in_order_of_shorter",
    "in_order_of_longer",
    "topics_in_order_of_shorter",
    "topics_in_order",
    "fewer_topics",
    "more_topics",
    "same_beginning",
    "same_end",
    "names_missing",
    "names_shared",
    "numbers",
    "asks_differ",
    "asks_shared",
    "scope_missing",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """The topics of one text that the other lacks."""

    rows: list[int]
    weight: float
    unaligned: float
    """Sum of their weights, each as far as nothing of the other text is near it."""

    heaviest: float
    least: float
    """The least of their best cosines."""


def features_of(one: Words, other: Words, cosine: float, table: Array) -> list[float]:
    """
    Return the numbers for `FEATURES`.

    *cosine* is that of the whole texts; *table* holds the cosines of their words, a row for
    each of *one* and a column for each of *other*.
    """
    first, second = one.question, other.question
    only_one, only_other = _only(one, other), _only(other, one)
    a = _side(one, only_one, table, other.topics, by_row=True)
    b = _side(other, only_other, table, one.topics, by_row=False)
    shared = len(one.content) - len(only_one)
    topics = sorted((len(one.content), len(other.content)))
    lengths = sorted((len(first.tokens), len(second.tokens)))
    shown = sorted((len(one.weights), len(other.weights)))
    coverages = sorted((_share(a.weight, one), _share(b.weight, other)))
    heaviest = sorted((a.heaviest, b.heaviest))
    alignments = sorted((a.least, b.least))
    forms = sorted((one.form, other.form))
    in_order = longest_common(one.token_places, other.token_places, len(other.weights))
    topics_in_order = longest_common(one.content, other.content_places, len(other.content))
    return [
        cosine,
        _cosine(one.content_sum, other.content_sum),
        2 * shared / max(1, topics[0] + topics[1]),
        coverages[0],
        coverages[1],
        float(max(_without_politeness(one, only_one), _without_politeness(other, only_other))),
        _overlap(one.bigrams, other.bigrams),
        _overlap(one.trigrams, other.trigrams),
        lengths[0] / max(1, lengths[1]),
        float(lengths[1]),
        float(_in_same_order(one.content, other.content)),
        float(len(one.functions ^ other.functions)),
        len(one.functions & other.functions) / max(1, len(one.functions | other.functions)),
        max(a.unaligned, b.unaligned),
        a.unaligned + b.unaligned,
        a.unaligned / max(one.content_weight, 1e-6) + b.unaligned / max(other.content_weight, 1e-6),
        alignments[0],
        alignments[1],
        _only_cosine(one, other, only_one, only_other),
        heaviest[0],
        heaviest[1],
        float(forms[0]),
        float(forms[1]),
        float(forms[0] == forms[1]),
        in_order / max(1, shown[0]),
        in_order / max(1, shown[1]),
        topics_in_order / max(1, topics[0]),
        float(topics_in_order),
        float(topics[0]),
        float(topics[1]),
        _same(first.tokens, second.tokens) / max(1, lengths[1]),
        _same(first.tokens[::-1], second.tokens[::-1]) / max(1, lengths[1]),
        float(max(len(first.names - other.tokens), len(second.names - one.tokens))),
        float(len(first.names & second.names)),
        float(len(first.numbers)),
        float(len(first.asks ^ second.asks)),
        float(len(first.asks & second.asks)),
        float(max(len(one.scopes - other.tokens), len(other.scopes - one.tokens))),
    ]


def _only(one: Words, other: Words) -> list[int]:
    """Return the rows of the topics of *one* that *other* lacks."""
    left = Counter(other.content)
    rows = []
    for row, word in zip(one.topics, one.content, strict=True):
        if left[word] > 0:
            left[word] -= 1
        else:
            rows.append(row)
    return rows


def _side(words: Words, rows: list[int], table: Array, others: list[int], *, by_row: bool) -> _Side:
    if not rows:
        return _Side(rows=rows, weight=0.0, unaligned=0.0, heaviest=0.0, least=1.0)
    weights = [words.weights[row] for row in rows]
    if others:
        near = table[rows][:, others].max(axis=1) if by_row else table[others][:, rows].max(axis=0)
        best: list[float] = near.tolist()
    else:
        best = [0.0] * len(rows)
    unaligned = [weight * (1.0 - cosine) for weight, cosine in zip(weights, best, strict=True)]
    return _Side(
        rows=rows,
        weight=sum(weights),
        unaligned=sum(unaligned),
        heaviest=max(unaligned),
        least=min(best),
    )


def _share(weight: float, words: Words) -> float:
    return 1.0 - weight / words.content_weight if words.content_weight else 1.0


def _only_cosine(one: Words, other: Words, only_one: list[int], only_other: list[int]) -> float:
    """Return the cosine of what each has for itself: 1.5 if neither has, -1 if one has not."""
    if not only_one and not only_other:
        return 1.5
    if not only_one or not only_other:
        return -1.0
    return _cosine(one.vectors[only_one].sum(axis=0), other.vectors[only_other].sum(axis=0))


def _cosine(one: Array, other: Array) -> float:
    lengths = float(one @ one) * float(other @ other)
    return float(one @ other) / lengths**0.5 if lengths else 0.0


def _without_politeness(words: Words, rows: list[int]) -> int:
    tokens = words.question.tokens
    return sum(tokens[row] not in lexicon.POLITE_WORDS for row in rows)


def _overlap(one: int, other: int) -> float:
    return (one & other).bit_count() / max(1, (one | other).bit_count())


def _in_same_order(one: Sequence[str], other: Sequence[str]) -> bool:
    common = set(one).intersection(other)
    return [word for word in one if word in common] == [word for word in other if word in common]


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many words the two begin with alike."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count
