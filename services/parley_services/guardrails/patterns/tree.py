"""
The parts that a pattern is made of.

A pattern is kept as a tree and not only as a compiled expression, because a scan of a
stream needs more than matches: which texts could still become one (`prefixes`), how long
one may be, and what it looks like backwards, in ROT13 or in escapes (`disguises`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, assert_never


@dataclass(frozen=True, slots=True, kw_only=True)
class Chars:
    """One character out of a set of code points, or out of all but these."""

    members: frozenset[int]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class WordBoundary:
    """The place between an ASCII word character and something else."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One part after the other; none at all matches the empty text."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """The first part that matches."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A part *least* to *most* times, as often as possible. Without *most*: no limit."""

    item: "Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """The part that a rule means; the rest of the pattern is its surroundings."""

    item: "Node"


Node: TypeAlias = Chars | WordBoundary | Sequence | Choice | Repeat | Group


def max_length(node: Node) -> int | None:
    """Return the characters of the longest text that *node* matches, None if unbounded."""
    match node:
        case Chars():
            return 1
        case WordBoundary():
            return 0
        case Group(item):
            return max_length(item)
        case Sequence(items):
            lengths = [max_length(item) for item in items]
            return None if None in lengths else sum(length or 0 for length in lengths)
        case Choice(items):
            lengths = [max_length(item) for item in items]
            return None if None in lengths else max(length or 0 for length in lengths)
        case Repeat(item=item, most=most):
            length = max_length(item)
            return None if most is None or length is None else most * length
        case _:
            assert_never(node)


def has_group(node: Node) -> bool:
    """Whether a part of *node* is marked by `Group`."""
    match node:
        case Chars() | WordBoundary():
            return False
        case Group():
            return True
        case Sequence(items) | Choice(items):
            return any(map(has_group, items))
        case Repeat(item=item):
            return has_group(item)
        case _:
            assert_never(node)


def render(node: Node) -> str:
    """Return *node* in RE2's syntax."""
    match node:
        case Chars():
            return _render_chars(node)
        case WordBoundary():
            return r"\b"
        case Group(item):
            return f"({render(item)})"
        case Sequence(items):
            return "".join(_render_in_sequence(item) for item in items)
        case Choice(items):
            return "|".join(render(item) for item in items)
        case Repeat(item=item, least=least, most=most):
            return quantified(item, least, most)
        case _:
            assert_never(node)


def quantified(item: Node, least: int, most: int | None) -> str:
    """Return *item* repeated, in RE2's syntax."""
    inner = render(item) if isinstance(item, Chars | Group) else f"(?:{render(item)})"
    return f"{inner}{{{least},{'' if most is None else most}}}"


def _render_in_sequence(item: Node) -> str:
    return f"(?:{render(item)})" if isinstance(item, Choice) else render(item)


def _render_chars(node: Chars) -> str:
    if not node.members:
        return r"[\x{0}-\x{10FFFF}]" if node.negated else r"[^\x{0}-\x{10FFFF}]"
    ranges = "".join(
        rf"\x{{{low:x}}}" if low == high else rf"\x{{{low:x}}}-\x{{{high:x}}}"
        for low, high in _ranges(node.members)
    )
    return f"[{'^' if node.negated else ''}{ranges}]"


def _ranges(members: frozenset[int]) -> Iterator[tuple[int, int]]:
    ordered = sorted(members)
    low = high = ordered[0]
    for each in ordered[1:]:
        if each != high + 1:
            yield low, high
            low = each
        high = each
    yield low, high
