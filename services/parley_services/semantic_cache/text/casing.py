"""Which capitals of a text mean something."""

import re
from enum import Enum, auto
from typing import Final

from parley_services.semantic_cache.text.word_list import word_list

LOOKALIKES: Final = word_list("""us it who or am in me hi as pa ma la""")
"""Names that are written like function words but for their capitals: US, IT, WHO, states."""

CAPITONYMS: Final = word_list(
    """polish turkey china march august may mark bill jack rose lily daisy mercury nice bath
    reading cork chile jordan mobile job guinea python java swift apple amazon oracle shell
    gap target visa chase discover slack notion word excel access teams outlook windows edge
    opera safari chrome signal zoom square stripe meta alexa echo kindle fire aids pole finn
    dane czech swede turk lent mass catholic earth sun moon bible will grace hope faith
    frank sue rob pat art drew dean miles hunter sandy penny dawn ivy holly joy carol"""
)
"""Words that mean another thing with a capital, such as Polish and polish."""

_WORD = re.compile(r"[^\W\d_]+")


class Casing(Enum):
    """What the capitals of a text tell."""

    SENTENCE = auto()
    """They mark names and acronyms, as in ordinary writing."""

    LOWER = auto()
    """There are none: they tell nothing."""

    CAPITALS = auto()
    """All is in capitals."""

    TITLE = auto()
    """Nearly every word begins with one, so that they mark no names."""


def casing_of(text: str) -> Casing:
    """Return what the capitals of *text* tell; of a script without them, LOWER."""
    if text.islower() or not any(map(str.isupper, text)):
        return Casing.LOWER
    if text.isupper():
        # A single acronym, as `HTTP?`, is one all the same.
        return Casing.CAPITALS if len(_WORD.findall(text)) > 2 else Casing.SENTENCE
    words = [word for word in _WORD.findall(text) if len(word) > 1]
    capital = sum(word[0].isupper() for word in words)
    if len(words) >= 4 and capital >= len(words) - 1:
        return Casing.TITLE
    if len(words) >= 6 and capital >= 0.75 * len(words):
        return Casing.TITLE
    return Casing.SENTENCE
