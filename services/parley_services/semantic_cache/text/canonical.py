"""The canonical form of a text: two texts with the same form ask the same question."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from parley_services.semantic_cache.text import clauses, elsewhere, numerals, spelling
from parley_services.semantic_cache.text.casing import (
    CAPITONYMS,
    LOOKALIKES,
    Casing,
    casing_of,
)
from parley_services.semantic_cache.text.cleaning import cleaned, normalise
from parley_services.semantic_cache.text.language import ENGLISH, language_of
from parley_services.semantic_cache.text.typos import corrected
from parley_services.semantic_cache.text.word_list import word_list
from parley_services.semantic_cache.text.wrappers import unwrapped

# Not re2, which is ten times slower here: no part can match the same text in two ways, so
# the time is linear all the same.
_TOKEN = re.compile(
    r"<[A-Za-z_]+\d*>|\[[A-Z_]+\d*\]"  # placeholders of redacted values
    r"|\d+(?:[.,:/]\d+)*(?:st|nd|rd|th)?%?"  # numbers, times, dates, ordinals
    r"|[^\W\d_]+(?:['-][^\W\d_]+)*(?:\+\+|\#)?"  # words
    r"|-(?=\s*\d)|(?<=\w)\.(?=\w)|[^\w\s,\"'.!?:;-]|_"
)
_INITIALS = re.compile(r"\b(?:[A-Za-z]\.){1,4}[A-Za-z]\b\.?|\b(?:[A-Za-z]\.){2,5}(?=\s|$|[,;:?!])")
_OPTIONAL_PLURAL = re.compile(r"(?<=\w)\((?:s|es)\)")
_LETTERS = re.compile(r"[^\W\d_]+")
_SENTENCE = re.compile(r"[.!?;]+(?=\s|$)|[。！？；\n]+|(?<=\w): ")
_CODE = re.compile(r"```|\n {4}|\n\t|[{};]\s*\n|=>|</\w|\bdef \w+\(|\bSELECT\b.+\bFROM\b")
_OF_WORDS = re.compile(
    r"(?i)\b(?:spell(?:s|ed|ing)?|spelt|translat\w+|rewrit\w+|rephras\w+|paraphras\w+|"
    r"proofread\w*|gramma\w+|capital letters?|capitali[sz]\w+|lower ?case|upper ?case|"
    r"punctuat\w+|typos?|pronounc\w+|pronunciation|rhym\w+|anagram\w*|palindrome\w*|hyphen\w*|"
    r"apostrophe|synonyms?|antonyms?|the words?|the phrase|the sentence|the letters?|"
    r"in words|how many characters|how (?:do|to|can|would) (?:\w+ )?say|"
    r"(?:correct|fix|improve|edit|complete|repeat|shorten|summari[sz]e) (?:this|the following))\b"
)
_QUOTED = re.compile(r"\"[^\"]+\"|(?<!\w)'[^']+'(?!\w)")
_LABEL_FOLLOWERS: Final = word_list("""of and or vs versus is in on for to at""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence of a text."""

    text: str
    """As it was written, with its own capitals."""

    words: tuple[str, ...]
    """Lower-case words but for names that look like other words, in one spelling, with numbers
    in digits; and signs."""

    names: frozenset[str]
    """Those of its words that are written as names: capitals inside a sentence, acronyms, words
    with inner capitals, placeholders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canonical:
    """One text in its canonical form, and what was found on the way."""

    form: str
    """Equal for two texts if one answer serves both."""

    spoken: str
    """The words of the form alone: what an embedder reads."""

    sentences: tuple[Sentence, ...]
    """Empty for code."""

    language: str
    """As `en`; empty if it is not known."""

    is_code: bool
    """Compared character by character only."""

    is_about_words: bool
    """Whether its words and signs are themselves the matter, so that they stay as they are."""


@lru_cache(maxsize=2_048)
def canonical(text: str) -> Canonical:
    """
    Return the canonical form of *text*. Deterministic, and linear in its length.

    Letter case, greetings, thanks, the sign at the end, the order of clauses, British and
    American spelling, hyphens, contractions, numbers in words and plain slips make no
    difference; names that differ by their capitals only (`Polish`, `US`) do. Code stays as it
    is, and so do the words of a text about words.
    """
    normal = normalise(text)
    if _CODE.search(normal):
        return _as_it_is(normal, is_code=True)
    clean = cleaned(normal)
    is_about_words = bool(_OF_WORDS.search(clean))
    question, indirect = (clean, False) if is_about_words else unwrapped(_joined(clean))
    casing = casing_of(question)
    language = language_of(question, tuple(_plain_words(question, casing)))
    raw_sentences = [each for each in map(str.strip, _SENTENCE.split(question)) if each]
    if is_about_words:
        sentences = [_sentence(each, casing, "") for each in raw_sentences]
        form = spoken = _little_changed(clean)
    else:
        ordered = (_in_one_order(each, language, indirect=indirect) for each in raw_sentences)
        sentences = [_sentence(each, casing, language) for each in ordered]
        spoken = " | ".join(" ".join(each.words) for each in sentences)
        # As often a pronoun as a number, and in the same place no other word.
        form = " ".join("1" if word == "one" else word for word in spoken.split(" "))
        quotes = _quotes(clean)
        if quotes:
            form = f"{form} | {quotes}"
    if not any(each.words for each in sentences):
        return _as_it_is(normal, is_code=False)
    return Canonical(
        form=form,
        spoken=spoken,
        sentences=tuple(each for each in sentences if each.words),
        language=language,
        is_code=False,
        is_about_words=is_about_words,
    )


def _in_one_order(sentence: str, language: str, *, indirect: bool) -> str:
    if language == ENGLISH:
        if indirect:
            sentence = clauses.asked_directly(sentence)
        return clauses.in_one_order(sentence)
    return elsewhere.unspaced(sentence, language) if language in ("zh", "ja") else sentence


def _as_it_is(normal: str, *, is_code: bool) -> Canonical:
    return Canonical(
        form=normal,
        spoken=normal,
        sentences=(),
        language="",
        is_code=is_code,
        is_about_words=False,
    )


def _joined(clean: str) -> str:
    """Return *clean* with `U.S.` as `US`, and `parent(s)` as `parents`."""
    if "." in clean:
        clean = _INITIALS.sub(lambda match: match[0].replace(".", ""), clean)
    if "(" in clean:
        clean = _OPTIONAL_PLURAL.sub("s", clean)
    return clean


def _quotes(clean: str) -> str:
    """Return what is quoted inside the text, letter by letter; of a quote around all, nothing."""
    found = [match for match in _QUOTED.finditer(clean) if match.end() - match.start() > 2]
    if len(found) == 1 and found[0].span() == (0, len(clean.rstrip(" .?!"))):
        return ""
    return " ".join(match[0] for match in found)


def _little_changed(clean: str) -> str:
    """Return *clean* without the sign at the end and the capital of a first word like `How`."""
    first = clean.split(" ", 1)[0]
    if first == first.capitalize() and first.lower() in _FIRST_WORDS:
        clean = first.lower() + clean[len(first) :]
    return clean.rstrip(" .?!。？！")


_FIRST_WORDS: Final = word_list(
    """how what who whom whose when where why which can could do does did is are am was were
    will would should may must has have had please the a an in on if i my"""
)


def _plain_words(text: str, casing: Casing) -> list[str]:
    """Return the lower-case words that may tell a language: no acronyms and single letters."""
    return [
        word.lower()
        for word in _LETTERS.findall(text)
        if len(word) > 1 and not (casing is Casing.SENTENCE and word.isupper())
    ]


def _sentence(sentence: str, casing: Casing, language: str) -> Sentence:
    """Return one sentence in its canonical words; without a language only its case changes."""
    english = language == ENGLISH
    words: list[str] = []
    names: set[str] = set()
    raw_tokens = _TOKEN.findall(sentence)
    for at, raw in enumerate(raw_tokens):
        if not raw[0].isalpha():
            words.append(raw)
            if raw[0] in "<[" and len(raw) > 1:
                names.add(raw)
            continue
        following = raw_tokens[at + 1].lower() if at + 1 < len(raw_tokens) else ""
        kept = _kept_capitals(raw, at, casing, words, following)
        if kept:
            words.append(kept)
            names.add(kept)
            continue
        found = _spelt(raw.lower(), english=english, mends=_may_be_mended(raw, at, casing))
        if _is_name(raw, at, casing):
            names.add(found[0])
        words += found
    if english:
        words = numerals.with_digits(spelling.joined(words))
    elif language:
        words = elsewhere.in_one_form(words, language)
    return Sentence(text=sentence, words=tuple(words), names=frozenset(names))


def _spelt(word: str, *, english: bool, mends: bool) -> list[str]:
    if not english:
        return word.replace("-", " ").split() or [word]
    result = []
    for part in spelling.without_hyphens(word):
        for each in spelling.expanded(part):
            result.append(spelling.american(corrected(each) if mends else each))
    return result


def _may_be_mended(raw: str, at: int, casing: Casing) -> bool:
    """Whether a slip may be mended: never in what is written as a name."""
    return at == 0 or casing is not Casing.SENTENCE or raw.islower()


def _kept_capitals(raw: str, at: int, casing: Casing, before: list[str], following: str) -> str:
    """
    Return the form of a word whose capitals tell it from another word; empty for all others.

    `US` for the country, `Polish` for the language, `A` for a label. Where capitals tell
    nothing, `the us` is the country and `number a of` a label all the same, and a word such as
    `POLISH` may be either, so that it has a form of its own.
    """
    word = raw.lower()
    if len(word) == 1:
        return _label(raw, word, at, casing, before, following)
    if word in LOOKALIKES:
        written = casing is Casing.SENTENCE and raw.isupper()
        return word.upper() if written or (before[-1:] == ["the"] and word != "who") else ""
    if word in CAPITONYMS:
        if casing is Casing.SENTENCE or (casing is Casing.TITLE and raw.islower()):
            return word.capitalize() if raw[0].isupper() else ""
        if casing in (Casing.CAPITALS, Casing.TITLE):
            return f"?{word}"
    return ""


def _label(raw: str, word: str, at: int, casing: Casing, before: list[str], following: str) -> str:
    """Return a single letter that names something, as in `vitamin A`, in upper case."""
    if word == "i":
        return ""
    if word != "a":
        return word.upper()
    if casing is Casing.SENTENCE and raw == "A" and at > 0:
        return "A"
    if at > 0 and (not following or following in _LABEL_FOLLOWERS):
        return "A"
    return ""


def _is_name(raw: str, at: int, casing: Casing) -> bool:
    if casing is not Casing.SENTENCE or raw == "I":
        return False
    if any(letter.isupper() for letter in raw[1:]):
        return True
    return at > 0 and raw[0].isupper()
