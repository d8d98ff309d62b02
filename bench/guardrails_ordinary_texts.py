"""Ordinary texts of forty kinds, each full of what looks like personal data and is none."""

import base64
import random
import re
import string
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

WORDS = re.findall(
    r"\w+",
    "the river bridge market winter paper garden engine village station letter window "
    "sailor kitchen doctor lesson summer painter forest harbour museum bakery orchard "
    "tower valley record budget report survey sample draft branch module server "
    "client request answer value",
)
NAMES = ["acme", "north", "delta", "orion", "vega", "lumen", "kestrel", "maple", "quartz"]
CITIES = ["Berlin", "Paris", "Lima", "Oslo", "Porto", "Kyoto", "Quito", "Perth", "Bergen", "Graz"]

_SLOT = re.compile(r"\{([A-Za-z0-9]+)(?::(\d+))?\}")


def ordinary_texts(each: int, seed: int = 1) -> Iterator[tuple[str, str]]:
    """Yield kind and text, *each* of every kind, the same for the same *seed*."""
    kinds = yaml.safe_load(Path("bench/guardrails_ordinary.yaml").read_text())
    for kind, templates in kinds.items():
        draw = random.Random(f"{seed} {kind}")
        for _ in range(each):
            text = _filled(draw, draw.choice(templates))
            before, after = f"{_words(draw, 4)}: ", f" {_words(draw, 3)}"
            yield kind, draw.choice([text, before + text, text + after])


def _filled(draw: random.Random, template: str) -> str:
    def fill(match: re.Match[str]) -> str:
        make = FILLERS.get(match[1])
        return match[0] if make is None else make(draw, int(match[2] or 0))

    return _SLOT.sub(fill, template)


def _digits(draw: random.Random, count: int) -> str:
    return str(draw.randint(10 ** (count - 1), 10**count - 1))


def _hex(draw: random.Random, count: int) -> str:
    return "".join(draw.choices("0123456789abcdef", k=count))


def _words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count))


def _clock(draw: random.Random, _: int) -> str:
    return f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}:{draw.randint(0, 59):02}"


def _date(draw: random.Random, _: int) -> str:
    day, month, year = draw.randint(1, 28), draw.randint(1, 12), draw.randint(1950, 2030)
    forms = ["{y}-{m:02}-{d:02}", "{d:02}.{m:02}.{y}", "{m}/{d}/{y}", "{y}{m:02}{d:02}"]
    return draw.choice(forms).format(d=day, m=month, y=year)


def _decimal(draw: random.Random, places: int) -> str:
    return f"{draw.randint(0, 999)}.{''.join(draw.choices(string.digits, k=places))}"


def _degrees(draw: random.Random, _: int) -> str:
    return f"{draw.uniform(-180, 180):.{draw.randint(4, 9)}f}"


def _version(draw: random.Random, parts: int) -> str:
    return ".".join(str(draw.randint(0, draw.choice([9, 30, 200]))) for _ in range(parts))


def _grouped(separator: str) -> Callable[[random.Random, int], str]:
    return lambda draw, count: f"{int(_digits(draw, count)):,}".replace(",", separator)


def _ean(draw: random.Random, prefix: str) -> str:
    body = prefix + "".join(draw.choices(string.digits, k=12 - len(prefix)))
    total = sum(int(each) * (3 if place % 2 else 1) for place, each in enumerate(body))
    return body + str(-total % 10)


def _isbn13(draw: random.Random, _: int) -> str:
    plain = _ean(draw, "978")
    return draw.choice([plain, f"{plain[:3]}-{plain[3]}-{plain[4:6]}-{plain[6:12]}-{plain[12]}"])


def _isbn10(draw: random.Random, _: int) -> str:
    body = "".join(draw.choices(string.digits, k=9))
    rest = -sum(int(each) * (10 - place) for place, each in enumerate(body)) % 11
    return f"{body[0]}-{body[1:4]}-{body[4:]}-{'X' if rest == 10 else rest}"


FILLERS: dict[str, Callable[[random.Random, int], str]] = {
    "digits": _digits,
    "hex": _hex,
    "HEX": lambda draw, count: _hex(draw, count).upper(),
    "bytes": lambda draw, count: " ".join(_hex(draw, 2) for _ in range(count)),
    "colons": lambda draw, count: ":".join(_hex(draw, 2) for _ in range(count)),
    "byte": lambda draw, _: str(draw.randint(0, 255)),
    "words": _words,
    "name": lambda draw, _: draw.choice(NAMES),
    "NAME": lambda draw, _: draw.choice(NAMES).upper(),
    "city": lambda draw, _: draw.choice(CITIES),
    "epoch": lambda draw, _: str(draw.randint(1_500_000_000, 1_900_000_000)),
    "clock": _clock,
    "date": _date,
    "decimal": _decimal,
    "degrees": _degrees,
    "version": _version,
    "spaced": _grouped(" "),
    "commas": _grouped(","),
    "dots": _grouped("."),
    "uuid": lambda draw, _: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
    "ean": lambda draw, _: _ean(draw, draw.choice(["40", "50", "76"])),
    "isbn13": _isbn13,
    "isbn10": _isbn10,
    "base64": lambda draw, count: base64.b64encode(draw.randbytes(count)).decode(),
}
"""What a slot of that name is filled with; a number after a colon says how much."""
