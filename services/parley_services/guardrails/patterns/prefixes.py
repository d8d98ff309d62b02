"""
What a stream must hold back: texts that could still become a match.

For a pattern e there are two sets, both again written as patterns:

* `prefixes(e)`: every beginning of a text that e matches, the empty and the whole one too;
* `open_prefixes(e)`: those beginnings after which more text could still lead to a match,
  or to a longer one, or decide whether there is one (a `\\b` looks at what follows).

If no suffix of what has been read, from some place on, is an open prefix, then no match
that begins at that place or before depends on text to come. So the leftmost suffix that
is an open prefix is where holding back begins: `(?:...)\\z`, searched by RE2 from the end.

The sets obey the rules of Brzozowski's derivatives (J. ACM 11, 1964) read from the left:
a prefix of `e f` is a prefix of e, or a text of e and then a prefix of f.
"""

from typing import assert_never

from parley_services.guardrails.patterns.tree import (
    Chars,
    Choice,
    Group,
    Node,
    Repeat,
    Sequence,
    WordBoundary,
    quantified,
    render,
)


def open_prefixes(node: Node) -> str:
    """Return, in RE2's syntax, what could still become or extend a match of *node*."""
    found = _open(node)
    return "" if found is None else found


def prefixes(node: Node) -> str:
    """Return, in RE2's syntax, every beginning of a match of *node*."""
    match node:
        case Chars():
            return f"{render(node)}?"
        case WordBoundary():
            return ""
        case Group(item):
            return prefixes(item)
        case Choice(items):
            return _either([prefixes(item) for item in items])
        case Sequence(items):
            found = ""
            for item in reversed(items):
                found = _either([prefixes(item), _atomic(item) + found])
            return found
        case Repeat(item=Chars() as item, most=most):
            return quantified(item, 0, most)
        case Repeat(item=item, most=most):
            return quantified(item, 0, _one_less(most)) + prefixes(item)
        case _:
            assert_never(node)


def _open(node: Node) -> str | None:
    """Return the open prefixes, None if there are none: the empty text is one."""
    match node:
        case Chars() | WordBoundary():
            return ""
        case Group(item):
            return _open(item)
        case Choice(items):
            return _union([_open(item) for item in items])
        case Sequence(items):
            return _open_sequence(items)
        case Repeat(most=0):
            return None
        case Repeat(item=Chars() as item, most=most):
            return quantified(item, 0, _one_less(most))
        case Repeat(item=item, most=most):
            inner = _open(item)
            return None if inner is None else quantified(item, 0, _one_less(most)) + inner
        case _:
            assert_never(node)


def _open_sequence(items: tuple[Node, ...]) -> str | None:
    found: str | None = None
    for item in reversed(items):
        longer = None if found is None else _atomic(item) + found
        found = _union([_open(item), longer])
    return found


def _union(found: list[str | None]) -> str | None:
    present = [each for each in found if each is not None]
    return _either(present) if present else None


def _either(options: list[str]) -> str:
    distinct = list(dict.fromkeys(option for option in options if option))
    if not distinct:
        return ""
    if len(distinct) == len(set(options)) == 1:
        return distinct[0]
    optional = "?" if "" in options else ""
    return f"(?:{'|'.join(distinct)}){optional}"


def _atomic(node: Node) -> str:
    return f"(?:{render(node)})" if isinstance(node, Choice) else _without_group(node)


def _without_group(node: Node) -> str:
    return f"(?:{render(node.item)})" if isinstance(node, Group) else render(node)


def _one_less(most: int | None) -> int | None:
    return None if most is None else most - 1
