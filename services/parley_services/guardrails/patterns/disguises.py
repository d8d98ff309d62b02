"""
What a pattern looks like in a text that was disguised, as a pattern again.

Changing the pattern and not the text leaves all offsets as they are and lets a stream
hold back exactly what it must, since a disguised pattern has open prefixes of its own.
"""

import codecs
from collections.abc import Callable
from functools import cache
from html.entities import html5
from typing import assert_never

from parley_services.guardrails.patterns.tree import (
    Chars,
    Choice,
    Group,
    Node,
    Repeat,
    Sequence,
    WordBoundary,
)

MAX_NAME_LETTERS = 8
"""Of HTML's names for characters. Longer ones have a shorter one beside them."""

MAX_ESCAPED_MEMBERS = 16
"""Classes larger than this are expected as they are: escaped in every way, they would
blow the pattern up and say little about what it means."""


def reversed_pattern(node: Node) -> Node:
    """Return the pattern of the texts of *node* written backwards."""
    match node:
        case Sequence(items):
            return Sequence(tuple(reversed_pattern(item) for item in reversed(items)))
        case _:
            return _map_items(node, reversed_pattern)


def rot13_pattern(node: Node) -> Node:
    """Return the pattern of the texts of *node* in ROT13."""
    if not isinstance(node, Chars):
        return _map_items(node, rot13_pattern)
    members = frozenset(ord(codecs.encode(chr(each), "rot13")) for each in node.members)
    return Chars(members=members, negated=node.negated)


def escaped_pattern(node: Node) -> Node:
    """
    Return the pattern of the texts of *node* in which any character may be escaped:
    `%41`, `&#65;`, `&#x41;`, `\\x41`, `\\u0041`, and `&lpar;` where HTML has a name for it.

    A word boundary counts only beside a character that is not escaped, since beside an
    escape it says nothing about the word. So the pattern matches what *node* matches, and
    of texts without an escape nothing else: a stream may ignore it until one is in sight.
    """
    return _escaped(node, after_boundary=False, before_boundary=False)


def _escaped(node: Node, *, after_boundary: bool, before_boundary: bool) -> Node:
    match node:
        case Chars():
            plain = _between(node, after_boundary, before_boundary)
            if node.negated or len(node.members) > MAX_ESCAPED_MEMBERS:
                return plain
            members = [each for each in sorted(node.members) if each < 0x80]
            return Choice((plain, *(escape for each in members for escape in _escapes(each))))
        case Choice(items):
            return Choice(
                tuple(
                    _escaped(item, after_boundary=after_boundary, before_boundary=before_boundary)
                    for item in items
                )
            )
        case Sequence(items):
            return _escaped_sequence(items, after_boundary, before_boundary)
        case Group(item):
            inner = _escaped(item, after_boundary=after_boundary, before_boundary=before_boundary)
            return Group(inner)
        case Repeat(item=item, least=least, most=most):
            repeated = Repeat(item=escaped_pattern(item), least=least, most=most)
            return _between(repeated, after_boundary, before_boundary)
        case WordBoundary():
            return node
        case _:
            assert_never(node)


def _escaped_sequence(items: tuple[Node, ...], after_boundary: bool, before_boundary: bool) -> Node:
    """Hand each boundary to the part after it, the last one to the part before it."""
    ends_with_boundary = len(items) > 1 and isinstance(items[-1], WordBoundary)
    inner = items[:-1] if ends_with_boundary else items
    changed: list[Node] = []
    pending = after_boundary
    for index, item in enumerate(inner):
        if isinstance(item, WordBoundary):
            pending = True
            continue
        is_last = index == len(inner) - 1
        follows = is_last and (before_boundary or ends_with_boundary)
        changed.append(_escaped(item, after_boundary=pending, before_boundary=follows))
        pending = False
    return Sequence(tuple(changed))


def _between(node: Node, after_boundary: bool, before_boundary: bool) -> Node:
    first = (WordBoundary(),) if after_boundary else ()
    last = (WordBoundary(),) if before_boundary else ()
    return Sequence((*first, node, *last)) if first or last else node


def _escapes(code_point: int) -> tuple[Node, ...]:
    hexadecimal = f"{code_point:02x}"
    zeros = Repeat(item=_one_of("0"), least=0, most=5)
    semicolon = Repeat(item=_one_of(";"), least=0, most=1)
    return (
        _literal("%" + hexadecimal),
        Sequence((_literal("&#"), zeros, _literal(str(code_point)), semicolon)),
        Sequence((_literal("&#x"), zeros, _literal(hexadecimal), semicolon)),
        _literal("\\x" + hexadecimal),
        _literal("\\u00" + hexadecimal),
        *(_exactly(f"&{name};") for name in _html_names().get(chr(code_point), ())),
    )


@cache
def _html_names() -> dict[str, list[str]]:
    """Return for each character the names that HTML has for it and `encodings` reads."""
    names: dict[str, list[str]] = {}
    for reference, text in html5.items():
        name = reference.removesuffix(";")
        if reference != name and 2 <= len(name) <= MAX_NAME_LETTERS and name.isalpha():
            names.setdefault(text, []).append(name)
    return names


def _exactly(text: str) -> Sequence:
    return Sequence(tuple(map(_one_of, text)))


def _literal(text: str) -> Sequence:
    return Sequence(tuple(_one_of(each.lower() + each.upper()) for each in text))


def _one_of(symbols: str) -> Chars:
    return Chars(members=frozenset(map(ord, symbols)))


def _map_items(node: Node, change: Callable[[Node], Node]) -> Node:
    match node:
        case Chars() | WordBoundary():
            return node
        case Group(item):
            return Group(change(item))
        case Sequence(items):
            return Sequence(tuple(map(change, items)))
        case Choice(items):
            return Choice(tuple(map(change, items)))
        case Repeat(item=item, least=least, most=most):
            return Repeat(item=change(item), least=least, most=most)
        case _:
            assert_never(node)
