"""
Reasons why one answer cannot serve two questions, however near their vectors are.

Mean-pooled embeddings hardly see a changed number, a negation or two words that traded
places: `from 2 to 3` and `from 3 to 2` have cosine 1. Each rule here names one such
change. They refuse on purpose where they cannot tell: a miss costs a model call, a
wrong answer costs trust.
"""

from collections import defaultdict
from itertools import combinations, permutations, product

from parley_services.semantic_cache.verify import lexicon
from parley_services.semantic_cache.verify.question import Question, missing, stem


def _opposites() -> dict[str, frozenset[str]]:
    """Return for each word, and for its stem, the words that turn a question around."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for pair in lexicon.ANTONYMS:
        for one, other in permutations(pair, 2):
            found[one].add(other)
            found[stem(one)].add(stem(other))
    return {word: frozenset(others) for word, others in found.items()}


def _classes() -> dict[str, frozenset[int]]:
    """Return for each word of a closed class the numbers of its classes."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for number, words in enumerate(lexicon.CLASSES):
        for word in words:
            found[word].add(number)
    return {word: frozenset(numbers) for word, numbers in found.items()}


_OPPOSITES = _opposites()
_CLASSES = _classes()
_NONE: frozenset[str] = frozenset()

ADDED_REFUSALS = frozenset(("question_added", "name_added", "scope_added"))
"""Reasons that may be a matter of form: one text has a word of the kind, the other none
in its place, as in `my password` and `my Parley password`."""


def refusal_of(asked: Question, stored: Question) -> str:
    """
    Return the first reason to refuse, or an empty string.

    One of `code`, `no_words`, `number_changed`, `negation_changed`, `antonym_changed`,
    `question_changed`, `name_changed`, `class_changed`, `scope_changed`,
    `order_changed`, and after those one of `ADDED_REFUSALS`. It does not matter which of
    the two is the stored one.
    """
    if asked.has_code or stored.has_code:
        return "code"
    if not asked.tokens or not stored.tokens:
        return "no_words"
    only_asked = missing(asked.tokens, stored.tokens)
    only_stored = missing(stored.tokens, asked.tokens)
    changed = (
        ("question", asked.asks - stored.asks, stored.asks - asked.asks),
        ("name", asked.names.difference(stored.tokens), stored.names.difference(asked.tokens)),
        (
            "scope",
            lexicon.SCOPE_WORDS.intersection(only_asked),
            lexicon.SCOPE_WORDS.intersection(only_stored),
        ),
    )
    if sorted(asked.numbers) != sorted(stored.numbers):
        return "number_changed"
    if _negation_changed(asked, stored, only_asked, only_stored):
        return "negation_changed"
    if _antonym_changed(only_asked, only_stored):
        return "antonym_changed"
    for kind, one, other in changed:
        # What stands for a redacted value is never a matter of form.
        if (one and other) or any(name[0] in "<[" for name in (*one, *other)):
            return f"{kind}_changed"
    if _class_changed(only_asked, only_stored):
        return "class_changed"
    if _order_changed(asked, stored):
        return "order_changed"
    return next((f"{kind}_added" for kind, one, other in changed if one or other), "")


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
    others = {*only_stored, *map(stem, only_stored)}
    return any(
        not _OPPOSITES.get(form, _NONE).isdisjoint(others)
        for word in only_asked
        for form in (word, stem(word))
    )


def _class_changed(only_asked: list[str], only_stored: list[str]) -> bool:
    asked = {number for word in only_asked for number in _CLASSES.get(word, ())}
    return bool(asked) and any(not asked.isdisjoint(_CLASSES.get(word, ())) for word in only_stored)


def _order_changed(asked: Question, stored: Question) -> bool:
    """
    Whether two things that both texts name trade places.

    `from 2 to 3` / `from 3 to 2`: one that stands on the other side of the other also has
    another direction. `dogs eat cats` / `cats eat dogs`: the sides of one word are
    swapped. `TCP and UDP` may turn, and so may `from London to Paris` / `to Paris from
    London`, where each keeps its direction. What stands around a direction, as in `line to
    ground`, may not turn, however often its words come.
    """
    across = _across(asked)
    if any((b, word, a) in across for a, word, b in _across(stored) if a != b):
        return True
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


def _across(question: Question) -> set[tuple[str, str, str]]:
    """What stands around a direction: one thing, the direction, the other thing."""
    tokens = question.tokens
    return {
        (stem(tokens[at - 1]), tokens[at], stem(tokens[at + 1]))
        for at in range(1, len(tokens) - 1)
        if tokens[at] in lexicon.DIRECTIONS
        and tokens[at - 1] not in lexicon.FUNCTION_WORDS
        and tokens[at + 1] not in lexicon.FUNCTION_WORDS
    }


def _joined(question: Question) -> set[frozenset[str]]:
    """The pairs whose two sides stand around a word such as `and`."""
    tokens = question.tokens
    return {
        frozenset((stem(tokens[at - 1]), stem(tokens[at + 1])))
        for at in range(1, len(tokens) - 1)
        if tokens[at] in lexicon.SYMMETRIC
    }
