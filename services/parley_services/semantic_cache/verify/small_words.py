"""
What the small words of two English questions say: who acts, which way, when, and what is asked.

Each of them changes the answer while it hardly moves a vector: `to my account`, `from my
account`; `can you delete`, `can I delete`; `can I take`, `have I taken`. The rules here compare
such words where both texts use them of the same thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from parley_services.semantic_cache.text import lexicon
from parley_services.semantic_cache.text.question import Question, stem
from parley_services.semantic_cache.text.word_list import word_list, word_pairs

_FIRST: Final = word_list("i me my mine myself we us our ours ourselves")
_SECOND: Final = word_list("you your yours yourself yourselves")
_THIRD: Final = word_list("he him his she her hers they them their theirs himself herself")
_ANYBODY: Final = word_list("one someone somebody anyone anybody people everyone everybody")
_POSSESSIVES: Final = word_list("my our your his her their its")
_PAST: Final = word_list("did was were had")
_PRESENT: Final = word_list("do does is are am can could may might will would should shall must")
_AUXILIARIES: Final = _PAST | _PRESENT | word_list("has have")
_POLITE_FORMS: Final = word_list("would could might")
_DETERMINERS: Final = _POSSESSIVES | word_list("the a an this that these those some any")
_QUESTION_WORDS: Final = word_list("how what which who whom whose when where why")
_MINDS: Final = word_list(
    """like love hate feel think believe prefer enjoy want wish hope care mind fear trust choose
    own live drive work recommend offer provide sell store keep collect charge"""
)
"""Verbs after which `you` is the one who is asked rather than anybody."""

_IRREGULAR_PARTICIPLES: Final = word_list(
    """been taken gone done seen given known written eaten driven chosen spoken broken stolen bought
    brought caught taught thought sold told held kept left lost made met paid put read said sent
    set slept spent stood won worn had begun become come run grown drawn flown shown thrown"""
)
_IRREGULAR_PASTS: Final = word_list(
    """took went saw gave knew wrote ate drove chose spoke broke stole bought brought caught taught
    thought sold told held kept left lost made met paid said sent slept spent stood won wore began
    became came ran grew drew flew threw built found"""
)

_CLASSES: Final[dict[str, str]] = {
    word: words.split()[0]
    for words in (
        "to into onto toward",
        "from off",
        "in inside within",
        "on upon",
        "under beneath below underneath",
        "over above",
        "through across via",
        "near beside by",
        "behind",
        "for",
        "at",
        "with",
        "about regarding concerning",
        "against",
        "before",
        "after",
        "until till",
        "since",
        "during",
        "outside",
        "between",
        "of",
        "as",
        "past",
        "around",
        "along",
        "up",
        "down",
        "front",
        "out",
    )
    for word in words.split()
}
"""Words that say which way or how one thing stands to another, by what they have in common."""

_TOLERATED: Final = frozenset(
    frozenset(pair)
    for pair in word_pairs(
        """of/in of/about of/for of/on of/at of/from of/with of/to about/on about/for in/at in/on
        in/for on/at at/for for/about with/for in/during on/for near/in in/with with/at by/with
        in/through to/with through/on near/at as/for in/as to/for to/in from/in from/on from/through
        near/of behind/of over/of after/of near/on from/as near/through from/with on/to"""
    )
)
"""Pairs that often stand for one another; what they change is left to what was learnt."""

_ALIKE: Final = frozenset(
    frozenset(pair)
    for pair in word_pairs("of/in of/about of/for of/on in/on in/at about/on from/on in/for")
)
"""Pairs that do so even where nothing else differs, in nine of ten pairs of questions."""


def changed(asked: Question, stored: Question) -> str:
    """
    Return the first thing that the small words of two English questions say differently.

    One of `direction_changed`, `actor_changed`, `tense_changed` and `question_changed`; empty
    if they agree, or speak of different things. Symmetric.
    """
    one, other = _reading(asked.tokens), _reading(stored.tokens)
    if _actor_changed(one, other):
        return "actor_changed"
    if _direction_changed(asked, stored):
        return "direction_changed"
    if _tense_changed(asked, stored, one, other):
        return "tense_changed"
    if (
        one.also_asks != other.also_asks
        or _asks_otherwise(one, other)
        or _only_small_words_differ(asked, stored)
    ):
        return "question_changed"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What the small words of one text say."""

    persons: tuple[str, ...]
    """First, second and third persons in the order of their words, anybody as `anybody`."""

    subject: str
    """Who acts in the first clause with a verb such as `can`: a person, `thing`, or empty."""

    asks: str
    """How it asks: a question word, `whether`, or empty for what is no question."""

    also_asks: frozenset[str]
    """Further questions in the same sentence: `what is it, and how is it made`."""

    is_past: bool | None
    """Whether the first verb is in the past; None if there is none to tell by."""

    is_degree: bool
    """Whether it asks how much something is so: `how secure is my router`."""


@lru_cache(maxsize=2_048)
def _reading(tokens: tuple[str, ...]) -> _Reading:
    at = next((at for at, token in enumerate(tokens) if token in _AUXILIARIES), -1)
    auxiliary = tokens[at] if at >= 0 else ""
    after = tokens[at + 1] if 0 <= at < len(tokens) - 1 else ""
    first = next((token for token in tokens if token in _QUESTION_WORDS), "")
    starts = tokens[0] if tokens else ""
    if starts in _QUESTION_WORDS:
        asks = starts
    elif starts in _AUXILIARIES:
        asks = "whether"
    else:
        asks = ""
    means_anybody = _means_anybody(tokens, asks)
    persons = tuple(
        "anybody" if person == "second" and means_anybody else person
        for at, person in enumerate(map(_person, tokens))
        if person and not _is_thinking(tokens, at)
    )
    if "anybody" in persons:
        # `How do people reset their password`: theirs and their own.
        persons = tuple("anybody" if person == "third" else person for person in persons)
    subject = _person(after)
    if subject == "second" and means_anybody:
        subject = "anybody"
    if not subject and after and at <= 3:
        subject = _noun_subject(tokens[at + 1 :])
    return _Reading(
        persons=persons,
        subject=subject,
        asks=asks,
        also_asks=_also_asks(tokens),
        is_past=_is_past(tokens, at, auxiliary),
        is_degree=first == "how" and _how_much(tokens),
    )


def _also_asks(tokens: tuple[str, ...]) -> frozenset[str]:
    return frozenset(
        tokens[at]
        for at in range(2, len(tokens) - 1)
        if tokens[at] in _QUESTION_WORDS
        and tokens[at - 1] == "and"
        and (tokens[at + 1] in _AUXILIARIES or tokens[at + 1] in lexicon.EXTENTS)
    )


def _person(token: str) -> str:
    if token in _FIRST:
        return "first"
    if token in _SECOND:
        return "second"
    if token in _THIRD:
        return "third"
    return "anybody" if token in _ANYBODY else ""


def _noun_subject(rest: Sequence[str]) -> str:
    """Return `thing` if a noun acts, as in `my bank contact me`; empty for `there`, `it`."""
    if rest[0] in _POSSESSIVES or rest[0] in ("the", "this", "that"):
        return "thing"
    return ""


def _means_anybody(tokens: tuple[str, ...], asks: str) -> bool:
    """Whether `you` means anybody, as in `how do you boil an egg`, not the one who is asked."""
    if asks not in ("how", "what", "where", "when", "which"):
        return False
    if not _FIRST.isdisjoint(tokens):
        return False
    for at, token in enumerate(tokens):
        if token == "you" and not _is_thinking(tokens, at):
            before, after = tokens[at - 1 : at], tokens[at + 1 : at + 2]
            if before and before[0] in ("did", "are", "were", "have", "had", "will"):
                return False
            if after and stem(after[0]) in _MIND_STEMS:
                return False
    return asks == "how" or "your" not in tokens


_MIND_STEMS: Final = frozenset(map(stem, _MINDS))


def _is_thinking(tokens: tuple[str, ...], at: int) -> bool:
    """Whether `you` is that of `do you think it will rain`, which asks whether it will."""
    return (
        tokens[at] == "you"
        and tokens[at + 1 : at + 2] in (("think",), ("believe",))
        and tokens[at + 2 : at + 3] not in (("about",), ("of",), ())
    ) or (tokens[at] == "your" and tokens[at + 1 : at + 2] == ("opinion",) and at > 0)


def _actor_changed(one: _Reading, other: _Reading) -> bool:
    first, second = set(one.persons), set(other.persons)
    # Who is asked is a matter of its own: `your prices`, `the prices`.
    if ("second" in first) != ("second" in second):
        return True
    known = {"first", "third"}
    if (first - second) & known and (second - first) & known:
        return True
    if {"first", "second"} <= first and _order(one.persons) != _order(other.persons):
        return True
    acting = {one.subject, other.subject}
    if one.asks != other.asks or "" in acting or len(acting) == 1:
        return False
    # Anybody may be the one who asks, and the other way round.
    return acting != {"first", "anybody"} and acting != {"anybody", "thing"}


def _order(persons: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(person for person in persons if person in ("first", "second")))


def _is_past(tokens: tuple[str, ...], at: int, auxiliary: str) -> bool | None:
    if auxiliary in ("has", "have"):
        rest = tokens[at + 1 : at + 5]
        if any(_is_participle(token) for token in rest):
            return True
        return None
    if auxiliary in _PAST:
        return True
    if auxiliary in _PRESENT:
        # `should have called`, `could I have cancelled`
        has_been = "have" in tokens[at + 1 : at + 4]
        return has_been and any(map(_is_participle, tokens[at + 2 : at + 6]))
    # `Who signed the form?`
    if len(tokens) > 1 and tokens[0] in ("who", "what", "which"):
        verb = tokens[1]
        if verb.endswith("ed") or verb in _IRREGULAR_PASTS:
            return True
    return None


def _is_participle(token: str) -> bool:
    return token in _IRREGULAR_PARTICIPLES or (token.endswith("ed") and len(token) > 3)


def _how_much(tokens: tuple[str, ...]) -> bool:
    at = tokens.index("how")
    following = tokens[at + 1] if at + 1 < len(tokens) else ""
    return bool(following) and not (
        following in _AUXILIARIES
        or following in _DETERMINERS
        or following in ("to", "i", "you", "we", "they", "he", "she", "it", "not", "come", "about")
        or following in lexicon.EXTENTS
        or following in _CLASSES
    )


def _tense_changed(asked: Question, stored: Question, one: _Reading, other: _Reading) -> bool:
    if one.is_past is None or other.is_past is None or one.is_past == other.is_past:
        return False
    if asked.content != stored.content or "first" in one.persons:
        return True
    # Of the world in general, `is` and `was` ask the same: `who is the inventor`.
    return not (_COPULAS & set(asked.tokens) and _COPULAS & set(stored.tokens))


_COPULAS: Final = word_list("is are was were")


def _asks_otherwise(one: _Reading, other: _Reading) -> bool:
    """Whether one asks how something is done and the other how much it is so."""
    return one.asks == other.asks == "how" and one.is_degree != other.is_degree


@lru_cache(maxsize=2_048)
def _places(tokens: tuple[str, ...]) -> dict[str, tuple[str, bool]]:
    """
    Return for each thing the class of the word that leads it, and whether it is sure to.

    `to my account` → account: to. A bare word after `to` may be a verb, so it is not sure.
    A thing that comes twice is left out.
    """
    found: dict[str, tuple[str, bool]] = {}
    twice: set[str] = set()
    leading, is_sure = "", False
    at = 0
    while at < len(tokens):
        token = tokens[at]
        pair = tokens[at : at + 2]
        if token == "in" and pair[1:] == ("front",):
            leading, is_sure = "front", True
            at += 3 if tokens[at + 2 : at + 3] == ("of",) else 2
            continue
        if token == "out" and pair[1:] == ("of",):
            leading, is_sure = "from", True
            at += 2
            continue
        if token in _CLASSES:
            # `move out to`, `go back in`: the last one decides.
            leading, is_sure = _CLASSES[token], token != "to"
        elif token in _DETERMINERS:
            is_sure = True
        elif token not in lexicon.FUNCTION_WORDS:
            thing = stem(token)
            if thing in found:
                twice.add(thing)
            if leading:
                found[thing] = (leading, is_sure or not token.islower())
            leading, is_sure = "", False
        at += 1
    if leading:
        # `Where do I sign up`, `turn the heating off`.
        found[""] = (leading, True)
    return {thing: each for thing, each in found.items() if thing not in twice}


def _direction_changed(asked: Question, stored: Question) -> bool:
    one, other = _places(asked.tokens), _places(stored.tokens)
    tolerated = _ALIKE if asked.content == stored.content else _TOLERATED
    for thing, (leading, is_sure) in one.items():
        if thing not in other:
            continue
        other_leading, other_sure = other[thing]
        if leading == other_leading:
            continue
        pair = frozenset((leading, other_leading))
        if pair == {"to", "from"} or pair == {"before", "after"}:
            return True
        if pair not in tolerated and is_sure and other_sure:
            return True
    return False


_ARTICLES: Final = word_list(
    """a an the some any of please just really actually also so then that there exactly properly
    ever"""
)
_SAME: Final[dict[str, str]] = {
    **dict.fromkeys(("is", "are", "am", "be"), "is"),
    **dict.fromkeys(("can", "could", "do", "does", "would", "might", "may"), "can"),
    **dict.fromkeys(("which", "what"), "what"),
    **dict.fromkeys(("i", "we", "one", "you", "someone", "somebody", "anyone", "people"), "i"),
    **dict.fromkeys(("my", "our", "your"), "my"),
    **dict.fromkeys(("me", "us"), "me"),
}


def _only_small_words_differ(asked: Question, stored: Question) -> bool:
    """
    Whether all topics are the same, in one order, and what the small words ask is not.

    `Is glass recycled`, `how is glass recycled`; `why do people stop`, `how do people stop`.
    What pairs of questions show to be harmless is not: articles, `can` for `do`, `my`.
    """
    if asked.content != stored.content or not asked.content:
        return False
    one, other = _frame(asked), _frame(stored)
    return bool(one & _ASKING) and bool(other & _ASKING) and (one & _ASKING) != (other & _ASKING)


_SHORT: Final = 3
_ASKING: Final = frozenset(("how", "why", "where", "when", "who", "whose", "whom", "whether"))


def _frame(question: Question) -> frozenset[str]:
    # `Why?` and `If so, how?` behind a question ask for reasons that are given anyway.
    first, *others = question.sentences
    tokens = (*first, *(word for each in others if len(each) > _SHORT for word in each))
    words = {_SAME.get(token, token) for token in tokens if token not in _ARTICLES}
    if tokens and tokens[0] in _AUXILIARIES:
        words.add("whether")
    return frozenset(words)
