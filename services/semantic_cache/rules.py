"""
Reasons why one answer cannot serve two questions, however near their vectors are.

Mean-pooled embeddings hardly see a changed number, a negation or two words that traded
places: `from 2 to 3` and `from 3 to 2` have cosine 1. Each rule here names one such
change. They refuse on purpose where they cannot tell: a miss costs a model call, a
wrong answer costs trust.
"""

from collections.abc import Callable
from itertools import combinations, product

from services.semantic_cache import lexicon
from services.semantic_cache.question import Question, missing, stem

_CLASS_OF = [{word: number for word in words} for number, words in enumerate(lexicon.CLASSES)]
_ANTONYM_STEMS = (
    frozenset(frozenset(stem(word) for word in pair) for pair in lexicon.ANTONYMS)
    | lexicon.ANTONYMS
)


def refusal_of(asked: Question, stored: Question) -> str:
    """
    Return the first reason to refuse, or an empty string.

    One of `code`, `no_words`, `number_changed`, `negation_changed`, `antonym_changed`,
    `question_changed`, `name_changed`, `class_changed`, `scope_changed`,
    `order_changed`. It does not matter which of the two is the stored one.
    """
    if asked.has_code or stored.has_code:
        return "code"
    if not asked.tokens or not stored.tokens:
        return "no_words"
    only_asked = missing(asked.tokens, stored.tokens)
    only_stored = missing(stored.tokens, asked.tokens)
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("number_changed", lambda: sorted(asked.numbers) != sorted(stored.numbers)),
        (
            "negation_changed",
            lambda: _negation_changed(asked, stored, only_asked, only_stored),
        ),
        ("antonym_changed", lambda: _antonym_changed(only_asked, only_stored)),
        ("question_changed", lambda: asked.asks != stored.asks),
        ("name_changed", lambda: _name_changed(asked, stored)),
        ("class_changed", lambda: _class_changed(only_asked, only_stored)),
        ("scope_changed", lambda: _scope_changed(only_asked, only_stored)),
        ("order_changed", lambda: _order_changed(asked, stored)),
    )
    return next((reason for reason, holds in checks if holds()), "")


def _negation_changed(
    asked: Question, stored: Question, only_asked: list[str], only_stored: list[str]
) -> bool:
    if asked.negations != stored.negations:
        return True
    return any(
        _negates(one, other) or _negates(other, one)
        for one, other in product(only_asked, only_stored)
    )


def _negates(word: str, other: str) -> bool:
    if len(word) - len(other) < 2 or len(other) < 3 or not word.endswith(other):
        return False
    return word.removesuffix(other).rstrip("-") in lexicon.NEGATIVE_PREFIXES


def _antonym_changed(only_asked: list[str], only_stored: list[str]) -> bool:
    return any(
        frozenset((one, other)) in lexicon.ANTONYMS
        or frozenset((stem(one), stem(other))) in _ANTONYM_STEMS
        for one, other in product(only_asked, only_stored)
    )


def _name_changed(asked: Question, stored: Question) -> bool:
    """A name of one that the other has in no spelling, `What is Rust` in lower case included."""
    return not (asked.names <= frozenset(stored.tokens) and stored.names <= frozenset(asked.tokens))


def _class_changed(only_asked: list[str], only_stored: list[str]) -> bool:
    return any(
        not of_class.keys().isdisjoint(only_asked) and not of_class.keys().isdisjoint(only_stored)
        for of_class in _CLASS_OF
    )


def _scope_changed(only_asked: list[str], only_stored: list[str]) -> bool:
    return not lexicon.SCOPE_WORDS.isdisjoint(only_asked) or not lexicon.SCOPE_WORDS.isdisjoint(
        only_stored
    )


def _order_changed(asked: Question, stored: Question) -> bool:
    """
    Whether two things that both texts name trade places.

    `from 2 to 3` / `from 3 to 2`: one that stands on the other side of the other also has
    another direction. `dogs eat cats` / `cats eat dogs`: the sides of one word are
    swapped. `TCP and UDP` may turn, and so may `from London to Paris` / `to Paris from
    London`, where each keeps its direction.
    """
    first, second = _things(asked), _things(stored)
    shared = [thing for thing in first if first.count(thing) == 1 and second.count(thing) == 1]
    places = [second.index(thing) for thing in shared]
    if places == sorted(places):
        return False
    joined = _joined(asked) & _joined(stored)
    directions, others = _directions(asked), _directions(stored)
    for at, to in combinations(range(len(shared)), 2):
        one, other = shared[at], shared[to]
        if places[at] < places[to] or frozenset((one, other)) in joined:
            continue
        if directions.get(one) != others.get(one) or directions.get(other) != others.get(other):
            return True
    swapped = {(third, middle, one) for one, middle, third in _triples(second)}
    return any(
        triple in swapped and frozenset((triple[0], triple[2])) not in joined
        for triple in _triples(first)
    )


def _things(question: Question) -> list[str]:
    return [stem(token) for token in question.tokens if token not in lexicon.FUNCTION_WORDS]


def _triples(things: list[str]) -> list[tuple[str, str, str]]:
    return list(zip(things, things[1:], things[2:], strict=False))


def _directions(question: Question) -> dict[str, str]:
    """Each thing's direction, the word such as `to` that leads it, articles aside."""
    result = {}
    direction = ""
    for token in question.tokens:
        if token in lexicon.DIRECTIONS:
            direction = token
        elif token not in lexicon.FUNCTION_WORDS:
            if direction:
                result[stem(token)] = direction
            direction = ""
    return result


def _joined(question: Question) -> set[frozenset[str]]:
    """The pairs whose two sides stand around a word such as `and`."""
    tokens = question.tokens
    return {
        frozenset((stem(tokens[at - 1]), stem(tokens[at + 1])))
        for at in range(1, len(tokens) - 1)
        if tokens[at] in lexicon.SYMMETRIC
    }
