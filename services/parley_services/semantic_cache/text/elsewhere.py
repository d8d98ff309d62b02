"""One form for the ways to ask in languages other than English."""

import re
from collections.abc import Callable
from typing import Final

from parley_services.semantic_cache.text.word_list import word_list

_SEPARABLE: Final = word_list(
    """an ab auf aus ein um zu vor nach mit her hin zurück weg los fest bei frei herunter hoch"""
)
_MODALS: Final = word_list("""kann muss soll darf will möchte werde würde könnte sollte""")


def _german(words: list[str]) -> list[str]:
    """Return `wie kann ich X kündigen` for `wie kündige ich X`."""
    if len(words) < 4 or words[0] not in ("wie", "wo") or words[2] != "ich":
        return words
    verb = words[1]
    if verb in _MODALS or not verb.endswith("e") or len(verb) < 4:
        return words
    stem = verb[:-1]
    infinitive = f"{stem}n" if stem.endswith(("er", "el")) else f"{stem}en"
    rest = words[3:]
    if rest[-1] in _SEPARABLE:
        infinitive = rest.pop() + infinitive
    return [words[0], "kann", "ich", *rest, infinitive]


def _first_person(
    asks: frozenset[str], can: str, endings: tuple[str, ...]
) -> Callable[[list[str]], list[str]]:
    """Return what makes `como cancelo X` of `como puedo cancelar X`; regular verbs only."""

    def change(words: list[str]) -> list[str]:
        if len(words) < 4 or words[0] not in asks or words[1] != can:
            return words
        verb = words[2]
        for ending in endings:
            if verb.endswith(ending) and len(verb) > len(ending) + 2:
                return [words[0], verb[: -len(ending)] + "o", *words[3:]]
        return words

    return change


_FRENCH: Final = re.compile(r"^(comment|où|quand) (?:puis je|je peux|est ce que je peux) ")
_ACUTE: Final = str.maketrans("áéíóú", "aeiou")
_ACCENTED_ASK: Final = word_list(
    """qué cómo dónde cuándo cuánto cuántos cuánta cuántas cuál cuáles quién quiénes"""
)
_OFTEN_BARE: Final = word_list("""está están estás también así aquí sí""")


def _french(words: list[str]) -> list[str]:
    return _FRENCH.sub(r"\1 ", " ".join(words)).split()


def _spanish_accents(word: str) -> str:
    """
    Return *word* without the accents that many leave out.

    The one of a last letter stays, for it tells who acts: `cancelo`, `canceló`. So does ñ.
    """
    if word in _ACCENTED_ASK or word in _OFTEN_BARE:
        return word.translate(_ACUTE)
    return word[:-1].translate(_ACUTE) + word[-1]


def _spanish(words: list[str]) -> list[str]:
    return _SPANISH_VERB([_spanish_accents(word) for word in words])


_SPANISH_VERB: Final = _first_person(
    frozenset(("como", "donde", "cuando")), "puedo", ("arme", "ar", "er", "ir")
)
_DUTCH: Final = re.compile(r"^(hoe|waar) kan ik (.+) (\w{3,})en$")


def _dutch(words: list[str]) -> list[str]:
    """Return `hoe wijzig ik X` for `hoe kan ik X wijzigen`; where the stem is spelt alike."""
    return _DUTCH.sub(r"\1 \3 ik \2", " ".join(words)).split()


_FORMS: Final[dict[str, Callable[[list[str]], list[str]]]] = {
    "de": _german,
    "es": _spanish,
    "it": _first_person(frozenset(("come", "dove", "quando")), "posso", ("are", "ere", "ire")),
    "pt": _first_person(frozenset(("como", "onde", "quando")), "posso", ("ar", "er", "ir")),
    "fr": _french,
    "nl": _dutch,
}

_CHINESE: Final = (
    (re.compile(r"怎样|怎么(?!样|了|办|回)"), "如何"),
    (re.compile(r"^(?:我)?(?:想|要)(?:知道|问|请问)(?:一下)?[,，]?"), ""),
    (re.compile(r"[呢啊呀吧]$"), ""),
    (re.compile(r"您"), "你"),
)
_JAPANESE: Final = (
    (re.compile(r"(?:でしょうか|ですか|ますか)$"), "か"),
    (re.compile(r"どうやって"), "どう"),
)


def in_one_form(words: list[str], language: str) -> list[str]:
    """Return lower-case *words* in the form that other ways to ask the same have, too."""
    change = _FORMS.get(language)
    return change(words) if change is not None and words else words


def unspaced(text: str, language: str) -> str:
    """Return Chinese or Japanese *text* without blanks, in one way of asking."""
    text = re.sub(r"(?<=[^\x00-\x7f])\s+|\s+(?=[^\x00-\x7f])|[，、,]", "", text)
    for pattern, instead in _CHINESE if language == "zh" else _JAPANESE:
        text = pattern.sub(instead, text)
    return text
