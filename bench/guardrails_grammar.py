"""Writes many texts from few templates, the same ones each time."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence

_SLOT = re.compile(r"\{([^{}]*)\}")


def texts_of(
    templates: Sequence[str], slots: Mapping[str, Sequence[str]], each: int, seed: int
) -> Iterator[tuple[int, str]]:
    """
    Yield up to *each* different texts of every template, with the template's number.

    `{a|b}` is one of the two, `{@name}` one of the slot *name*, which may hold braces itself.
    """
    for number, template in enumerate(templates):
        chance = random.Random(f"{seed}/{number}")
        written = {filled(template, slots, chance) for _ in range(each)}
        for text in sorted(written):
            yield number, text


def filled(template: str, slots: Mapping[str, Sequence[str]], chance: random.Random) -> str:
    """Return *template* with each of its braces replaced by one of what it offers."""

    def choose(match: re.Match[str]) -> str:
        inner = match[1]
        options = slots[inner[1:]] if inner.startswith("@") else inner.split("|")
        return chance.choice(options)

    text = template
    while _SLOT.search(text):
        text = _SLOT.sub(choose, text)
    return re.sub(r"  +", " ", text).strip()
