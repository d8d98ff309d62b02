"""
Reads a pattern from the usual notation.

The notation is a part of RE2's (https://github.com/google/re2/wiki/Syntax): characters,
`.`, `\\uXXXX`, classes, `\\d \\w \\s` and their opposites, `\\b`, `(?:...)`, one `(...)`,
`|`, `?`, `*`, `+` and `{m,n}`. Case is ignored unless asked otherwise. What it leaves out, as `^`,
`$` and flags, has no meaning in a stream or is not needed.
"""

import string

from parley_services.guardrails.patterns.tree import (
    Chars,
    Choice,
    Group,
    Node,
    Repeat,
    Sequence,
    WordBoundary,
)

MAX_REPEAT = 1000
"""RE2 refuses counts above it."""

_DIGITS = frozenset(map(ord, string.digits))
_WORD = frozenset(map(ord, string.ascii_letters + string.digits + "_"))
_SPACE = frozenset(map(ord, " \t\n\r\f\v"))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_QUANTIFIERS: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}


class PatternInvalid(ValueError):
    """A pattern cannot be read; the text says where and why."""


def parse(text: str, *, ignore_case: bool = True) -> Node:
    """Return the tree of *text*. Raises PatternInvalid."""
    parser = _Parser(text, ignore_case)
    node = parser.choice()
    if parser.rest():
        raise parser.error("unexpected )")
    return node


class _Parser:
    def __init__(self, text: str, ignore_case: bool) -> None:
        self._text = text
        self._at = 0
        self._ignore_case = ignore_case
        self._has_group = False

    def error(self, what: str) -> PatternInvalid:
        return PatternInvalid(f"{what} at character {self._at} of the pattern {self._text!r}")

    def rest(self) -> bool:
        return self._at < len(self._text)

    def choice(self) -> Node:
        items = [self._sequence()]
        while self._take("|"):
            items.append(self._sequence())
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while self.rest() and self._peek() not in "|)":
            items.append(self._quantified())
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _quantified(self) -> Node:
        item = self._atom()
        while self.rest():
            if self._peek() in _QUANTIFIERS:
                least, most = _QUANTIFIERS[self._next()]
            elif self._take("{"):
                least, most = self._counts()
            else:
                break
            if isinstance(item, WordBoundary):
                raise self.error("nothing to repeat")
            item = Repeat(item=item, least=least, most=most)
        return item

    def _counts(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        first, comma, second = self._text[self._at : end].partition(",")
        if end < 0 or not first.isdecimal() or (second and not second.isdecimal()):
            raise self.error("malformed count")
        self._at = end + 1
        least = int(first)
        most = (int(second) if second else None) if comma else least
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise self.error(f"count out of order or above {MAX_REPEAT}")
        return least, most

    def _atom(self) -> Node:
        symbol = self._next()
        if symbol == "(":
            return self._group()
        if symbol == "[":
            return self._class()
        if symbol == ".":
            return Chars(members=frozenset({ord("\n")}), negated=True)
        if symbol == "\\":
            return self._escape()
        if symbol in "?*+{^$":
            raise self.error(f"unexpected {symbol}")
        return self._chars({ord(symbol)})

    def _group(self) -> Node:
        captures = not self._take("?:")
        if captures and (self._has_group or (self.rest() and self._peek() == "?")):
            raise self.error("only (?:...) and one (...) are known")
        self._has_group = self._has_group or captures
        item = self.choice()
        if not self._take(")"):
            raise self.error("missing )")
        return Group(item) if captures else item

    def _escape(self) -> Node:
        symbol = self._next()
        if symbol == "b":
            return WordBoundary()
        if symbol.lower() in _CLASSES:
            return Chars(members=_CLASSES[symbol.lower()], negated=symbol.isupper())
        return self._chars({ord(self._literal(symbol))})

    def _literal(self, symbol: str) -> str:
        if symbol in _CONTROLS:
            return _CONTROLS[symbol]
        if symbol == "u":
            digits = self._text[self._at : self._at + 4]
            self._at += 4
            return chr(int(digits, 16))
        if symbol.isalnum():
            raise self.error(f"unknown escape \\{symbol}")
        return symbol

    def _class(self) -> Chars:
        negated = self._take("^")
        members: set[int] = set()
        first = True
        while first or not self._take("]"):
            first = False
            symbol = self._next()
            if symbol == "\\":
                symbol = self._next()
                if symbol in _CLASSES:
                    members |= _CLASSES[symbol]
                    continue
                symbol = self._literal(symbol)
            if self._text[self._at : self._at + 1] == "-" and self._text[self._at + 1] != "]":
                self._at += 1
                last = self._next()
                last = self._literal(self._next()) if last == "\\" else last
                members |= set(range(ord(symbol), ord(last) + 1))
            else:
                members.add(ord(symbol))
        return self._chars(members, negated=negated)

    def _chars(self, members: set[int], *, negated: bool = False) -> Chars:
        if self._ignore_case:
            both = {case for each in members for case in (chr(each).lower(), chr(each).upper())}
            members = members | {ord(case) for case in both if len(case) == 1}
        return Chars(members=frozenset(members), negated=negated)

    def _peek(self) -> str:
        return self._text[self._at]

    def _next(self) -> str:
        if not self.rest():
            raise self.error("unexpected end")
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True
