"""Question pairs for the cache's benches: public ones, and traps made by rule."""

import gzip
import json
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path

from services.semantic_cache import lexicon


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions, whether one answer serves both, and where they come from."""

    one: str
    other: str
    same: bool
    kind: str


def data_folder() -> Path:
    """Return the folder of the public data sets. Exits with a sentence if there is none."""
    folder = os.environ.get("PARLEY_BENCH_DATA", "")
    if not folder:
        raise SystemExit("Set PARLEY_BENCH_DATA to the folder that holds qqp/pairs.jsonl.gz.")
    return Path(folder)


def question_pairs() -> list[Pair]:
    """Return the 50,000 pairs of Quora Question Pairs, in their order."""
    with gzip.open(data_folder() / "qqp" / "pairs.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [Pair(one=row["a"], other=row["b"], same=bool(row["same"]), kind="qqp") for row in rows]


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
            )
            if (changed := change(text)) not in (None, text)
        ]
        if options:
            # The rarer kinds first, for nearly every text can be negated.
            rare = [option for option in options if option[0] != "negation"]
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
