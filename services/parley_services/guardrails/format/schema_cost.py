"""
How much work a JSON Schema may be, known before anything is compiled.

A schema of a few lines may stand for millions of parts, since a part that is referred to
twice counts twice, with all that it refers to itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

from parley_services.kit.bounded_json import JsonValue

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_PATTERNS: Final = ("pattern", "patternProperties")
_MAX_SIMPLE_PATTERNS: Final = 1_000
"""Characters of all patterns of a schema that compile within a millisecond or so."""

Part: TypeAlias = dict[str, JsonValue] | list[JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaCost:
    """What a schema comes to."""

    parts: int
    """Objects, lists and plain values, each as often as it is referred to."""

    is_predictable: bool
    """Whether the work is in proportion to parts times values of the answer. It is not for a
    schema that refers to itself, refers by an anchor, or has large patterns."""


def schema_cost(schema: JsonValue) -> SchemaCost:
    """Return what *schema* comes to, in time in proportion to its length."""
    if not isinstance(schema, dict):
        return SchemaCost(parts=1, is_predictable=True)
    counting = _Counting(schema)
    parts = counting.parts_of(schema)
    return SchemaCost(
        parts=parts,
        is_predictable=not counting.refers_freely and counting.pattern_length is not None,
    )


class _Counting:
    """Counts the parts below each part once, whatever refers to it."""

    def __init__(self, root: dict[str, JsonValue]) -> None:
        self._root = root
        self._counts: dict[int, int] = {}
        self.refers_freely = False
        self._patterns = 0
        self._has_counts = False

    @property
    def pattern_length(self) -> int | None:
        """Characters of all patterns, None if they are too large or repeat by counts."""
        fits = self._patterns <= _MAX_SIMPLE_PATTERNS and not self._has_counts
        return self._patterns if fits else None

    def parts_of(self, start: Part) -> int:
        """Return the parts of *start*, itself included. Needs no recursion."""
        counts = self._counts
        open_parts: set[int] = {id(start)}
        stack: list[tuple[Part, Iterator[Part], list[int]]] = [
            (start, iter(self._below(start)), [1 + _plain(start)])
        ]
        while stack:
            part, below, total = stack[-1]
            for each in below:
                if id(each) in counts:
                    total[0] += counts[id(each)]
                elif id(each) in open_parts:
                    self.refers_freely = True
                else:
                    open_parts.add(id(each))
                    stack.append((each, iter(self._below(each)), [1 + _plain(each)]))
                    break
            else:
                stack.pop()
                open_parts.discard(id(part))
                counts[id(part)] = total[0]
                if stack:
                    stack[-1][2][0] += total[0]
        return counts[id(start)]

    def _below(self, part: Part) -> list[Part]:
        inner = part.values() if isinstance(part, dict) else part
        found: list[Part] = [each for each in inner if isinstance(each, dict | list)]
        if isinstance(part, dict):
            self._look_at_patterns(part)
            for keyword in _REFERENCES:
                target = self._target(part.get(keyword))
                if target is not None:
                    found.append(target)
        return found

    def _target(self, reference: JsonValue) -> Part | None:
        """Return the part that *reference* points to, None for no part or an unknown one."""
        if not isinstance(reference, str):
            return None
        if reference != "#" and not reference.startswith("#/"):
            # By an anchor or an id: what it leads to is not followed here.
            self.refers_freely = True
            return None
        place: JsonValue = self._root
        for step in reference.split("/")[1:]:
            # https://www.rfc-editor.org/rfc/rfc6901#section-4
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(place, dict):
                place = place.get(key)
            elif isinstance(place, list) and key.isdecimal() and int(key) < len(place):
                place = place[int(key)]
            else:
                return None
        return place if isinstance(place, dict | list) else None

    def _look_at_patterns(self, part: dict[str, JsonValue]) -> None:
        for keyword in _PATTERNS:
            value = part.get(keyword)
            patterns = value.keys() if isinstance(value, dict) else [value]
            for pattern in patterns:
                if isinstance(pattern, str):
                    self._patterns += len(pattern)
                    self._has_counts = self._has_counts or "{" in pattern


def _plain(part: Part) -> int:
    inner = part.values() if isinstance(part, dict) else part
    return sum(not isinstance(each, dict | list) for each in inner)
