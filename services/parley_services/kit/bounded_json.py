"""
One check for every JSON that a caller, a provider or a tool sends.

What it returns may be walked by recursion: it is no deeper than its bounds.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

_NO_STRUCTURE: Final = bytes(each for each in range(256) if each not in b'[]{},:"')


class JsonRefused(ValueError):
    """A text is no JSON that may be used. Its text says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBounds:
    """The largest JSON that is looked at."""

    max_bytes: int = 1024 * 1024
    """Of UTF-8."""

    max_depth: int = 100
    """Of objects and lists inside each other. orjson itself ends at 1,024."""

    max_values: int = 200_000
    """Objects, lists, keys and plain values in all; some 30 MB when read."""


DEFAULT_BOUNDS: Final = JsonBounds()


def load(text: str | bytes, bounds: JsonBounds = DEFAULT_BOUNDS) -> JsonValue:
    """
    Return what *text* says, which is JSON within *bounds*.

    Raises JsonRefused, never RecursionError, in time and memory in proportion to the text.

    >>> load('{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(data) > bounds.max_bytes:
        raise JsonRefused(f"is JSON of more than {bounds.max_bytes} bytes: send less.")
    brackets = data.count(b"[") + data.count(b"{")
    # Upper bounds, which count what is inside of strings too: most texts stay below them.
    if brackets > bounds.max_depth or (
        brackets + data.count(b",") + data.count(b":") >= bounds.max_values
    ):
        _require_small(_structure(data), bounds)
    try:
        value: JsonValue = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise JsonRefused(
            f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}."
        ) from None
    return value


def _structure(data: bytes) -> bytes:
    """Return brackets, commas and colons of *data* that are not inside of a string."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.translate(None, _NO_STRUCTURE).split(b'"')[::2])


def _require_small(structure: bytes, bounds: JsonBounds) -> None:
    brackets = structure.translate(None, b",:")
    opening = brackets.count(b"[") + brackets.count(b"{")
    if opening + structure.count(b",") + structure.count(b":") >= bounds.max_values:
        raise JsonRefused(f"is JSON of more than {bounds.max_values} values: send less.")
    for _ in range(bounds.max_depth):
        # Takes the innermost level away.
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return
    if brackets.startswith((b"[", b"{")):
        raise JsonRefused(f"is JSON nested deeper than {bounds.max_depth}: send it flatter.")
