"""Traps: pairs made by rule whose two questions need two answers."""

import random
import re
from collections import Counter

import numpy as np
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.verify import lexicon
from parley_services.semantic_cache.verify.question import question_of, stem

from bench.cache_data import Pair

_NAMES = [
    ("Apple", "Microsoft"),
    ("Google", "Amazon"),
    ("India", "China"),
    ("USA", "Canada"),
    ("Delhi", "Mumbai"),
    ("Facebook", "Instagram"),
    ("Trump", "Obama"),
    ("Quora", "Reddit"),
    ("London", "Paris"),
    ("Germany", "France"),
    ("Android", "Windows"),
    ("Java", "Python"),
    ("Bangalore", "Pune"),
    ("Clinton", "Sanders"),
    ("Gmail", "Outlook"),
    ("YouTube", "Netflix"),
]


def traps(texts: list[str], *, seed: int) -> list[Pair]:
    """Return, for each text that allows it, the pair with one change that breaks its meaning."""
    draw = random.Random(seed)
    antonyms: dict[str, str] = {}
    for pair in lexicon.ANTONYMS:
        if len(pair) == 2:
            one, other = sorted(pair)
            antonyms.setdefault(one, other)
            antonyms.setdefault(other, one)
    found = []
    for text in texts:
        options = [
            (kind, changed)
            for kind, change in (
                ("number", _number),
                ("negation", _negation),
                ("antonym", lambda text: _antonym(text, antonyms)),
                ("name", _name),
                ("order", _order),
                ("question", _question),
                ("scope", lambda text: _scope(text, draw)),
                ("unit", lambda text: _unit(text, draw)),
            )
            if (changed := change(text)) not in (None, text)
        ]
        if options:
            # The rarer kinds first: nearly every text can be negated or narrowed.
            rare = [option for option in options if option[0] not in ("negation", "scope")]
            kind, changed = draw.choice(rare or options)
            found.append(Pair(one=text, other=changed, same=False, kind=kind))
    return found


def _number(text: str) -> str | None:
    match = re.search(r"\d+", text)
    if match is None:
        return None
    return text[: match.start()] + str(int(match.group()) + 3) + text[match.end() :]


def _negation(text: str) -> str | None:
    changed, count = re.subn(
        r"\b(is|are|do|does|can|should|will|would|could)( \w+)", r"\1\2 not", text, count=1
    )
    return changed if count else None


def _antonym(text: str, antonyms: dict[str, str]) -> str | None:
    for match in re.finditer(r"[a-z]{3,}", text):
        if match.group() in antonyms:
            return text[: match.start()] + antonyms[match.group()] + text[match.end() :]
    return None


def _name(text: str) -> str | None:
    for one, other in _NAMES:
        for given, instead in ((one, other), (other, one)):
            if re.search(rf"\b{given}\b", text):
                return re.sub(rf"\b{given}\b", instead, text)
    return None


def _order(text: str) -> str | None:
    match = re.search(r"\b(\w{3,}) (to|than|from|into|over) (\w{3,})\b", text)
    if match is None or {match[1].lower(), match[3].lower()} & lexicon.FUNCTION_WORDS:
        return None
    return f"{text[: match.start()]}{match[3]} {match[2]} {match[1]}{text[match.end() :]}"


def _question(text: str) -> str | None:
    for given, instead in (("Who", "When"), ("When", "Why"), ("Where", "When"), ("Why", "Where")):
        if text.startswith(f"{given} "):
            return instead + text[len(given) :]
    return None


def _scope(text: str, draw: random.Random) -> str | None:
    """Narrow what stands after an article or a possessive: `the price`, `the lowest price`."""
    places = list(re.finditer(r"\b(the|my|your|a) (?=[a-z]{4,})", text))
    if not places:
        return None
    at = draw.choice(places).end()
    return f"{text[:at]}{draw.choice(sorted(lexicon.SCOPE_WORDS))} {text[at:]}"


def _unit(text: str, draw: random.Random) -> str | None:
    for match in re.finditer(r"[a-z]{3,}", text):
        for words in lexicon.CLASSES:
            if match.group() in words:
                others = sorted(word for word in words if stem(word) != stem(match.group()))
                return text[: match.start()] + draw.choice(others) + text[match.end() :]
    return None


_NOUNS = [
    ("coffee", "tea"),
    ("breakfast", "dinner"),
    ("doctor", "lawyer"),
    ("car", "bike"),
    ("school", "college"),
    ("book", "movie"),
    ("phone", "laptop"),
    ("weight", "height"),
    ("hair", "skin"),
    ("job", "visa"),
    ("mother", "boss"),
    ("child", "adult"),
    ("water", "milk"),
    ("engineering", "medicine"),
    ("country", "city"),
    ("guitar", "piano"),
    ("physics", "chemistry"),
    ("hotel", "restaurant"),
    ("software", "hardware"),
    ("sleep", "exercise"),
]


def noun_traps(texts: list[str]) -> list[Pair]:
    """
    Return the pairs with one ordinary word in place of another.

    The rules know none of these words, and the training uses none of these pairs.
    """
    found = []
    for text in texts:
        for one, other in _NOUNS:
            if re.search(rf"\b{one}\b", text):
                changed = re.sub(rf"\b{one}\b", other, text)
                found.append(Pair(one=text, other=changed, same=False, kind="noun"))
                break
    return found


def lessons(texts: list[str], *, seed: int, count: int) -> list[Pair]:
    """
    Return up to *count* pairs to learn from, of kinds that no rule refuses for good.

    A topic is replaced by a word that stands in like places but not for the same thing, or
    something is narrowed by a scope word.
    """
    draw = random.Random(seed)
    neighbours = _neighbours(texts)
    found: list[Pair] = []
    for text in draw.sample(texts, len(texts)):
        if len(found) >= count:
            break
        changed = _scope(text, draw) if draw.random() < 0.3 else None
        kind = "scope"
        if changed is None:
            kind = "topic"
            words = [each for each in re.findall(r"[a-z]{4,}", text) if each in neighbours]
            if not words:
                continue
            word = draw.choice(words)
            changed = re.sub(rf"\b{word}\b", draw.choice(neighbours[word]), text)
        found.append(Pair(one=text, other=changed, same=False, kind=kind))
    return found


def swaps(texts: list[str]) -> list[Pair]:
    """Return the pairs of one meaning whose sides around `and` or `or` trade places."""
    found = []
    for text in texts:
        match = re.search(r"\b(\w{2,}) (and|or) (\w{2,})\b", text)
        if match is None or {match[1].lower(), match[3].lower()} & lexicon.FUNCTION_WORDS:
            continue
        turned = f"{match[3]} {match[2]} {match[1]}"
        changed = text[: match.start()] + turned + text[match.end() :]
        found.append(Pair(one=text, other=changed, same=True, kind="swap"))
    return found


def _neighbours(texts: list[str]) -> dict[str, list[str]]:
    """For each frequent topic of *texts*, words near it, but not so near as synonyms are."""
    counts: Counter[str] = Counter()
    for text in texts:
        question = question_of(text)
        counts.update({question.tokens[at] for at in question.topics} - question.names)
    words = [word for word, _ in counts.most_common(4_000) if len(word) >= 4 and word.isalpha()]
    embedder = WordLlamaEmbedder()
    vectors = np.array([embedder.word(word) for word in words])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = vectors @ vectors.T
    found: dict[str, list[str]] = {}
    for at, word in enumerate(words):
        near = [
            words[to]
            for to in np.argsort(-table[at])[1:40]
            if 0.2 < table[at, to] < 0.5 and stem(words[to]) != stem(word)
        ]
        if near:
            found[word] = near
    return found
