"""Finds the matches of pattern rules in folded text."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from services.guardrails.encodings import BASE64_RUN, HEX_RUN, decoded_run
from services.guardrails.patterns.parse import parse
from services.guardrails.patterns.regex import compile_regex
from services.guardrails.patterns.tree import Node, has_group, render
from services.guardrails.rule import PatternRule
from services.guardrails.verdict import Action

RUN_NODES = (parse(BASE64_RUN, ignore_case=False), parse(HEX_RUN, ignore_case=False))
"""What encoded text looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A place in folded text where a rule found something."""

    rule: PatternRule
    action: Action
    start: int
    """First byte."""

    end: int
    """One past the last byte."""

    value: str
    """What was found, folded."""


class Finder(Protocol):
    """Looks for something from left to right."""

    @property
    def looks_for(self) -> Sequence[tuple[PatternRule, Action]]:
        """The rules whose findings it reports, with what is done about them."""
        ...

    def find(self, data: bytes, start: int, limit: int) -> tuple[list[Hit], int]:
        """
        Return the hits in *data* that begin at *start* or later and before *limit*, and
        where to go on once *limit* has moved on.
        """
        ...


class Matcher:
    """
    Finds what one rule looks for.

    Matches of one pattern do not overlap. A candidate that the rule refuses is tried again
    from after its first word, so that a number does not hide a card's number behind it.
    """

    __slots__ = ("_action", "_decode", "_has_group", "_regex", "_rule", "looks_for")

    def __init__(
        self,
        rule: PatternRule,
        action: Action,
        node: Node,
        *,
        decode: Callable[[str], str | None] | None = None,
    ) -> None:
        """
        Look for *node*, a pattern of *rule*, in a disguise that *decode* takes off.

        *decode* returns None for a text that is not disguised.
        """
        self._rule = rule
        self._action = action
        self.looks_for = ((rule, action),)
        self._decode = decode
        self._has_group = has_group(node)
        self._regex = compile_regex(render(node))

    def find(self, data: bytes, start: int, limit: int) -> tuple[list[Hit], int]:
        hits: list[Hit] = []
        while (match := self._regex.search(data, start)) is not None:
            begin, end = match.span()
            if begin >= limit:
                break
            hit = self._judge(data, *(match.span(1) if self._has_group else (begin, end)))
            if hit is None:
                start = begin + _first_word_length(data, begin, end)
            else:
                hits.append(hit)
                start = max(hit.end, begin + 1)
        return hits, max(start, limit)

    def _judge(self, data: bytes, start: int, end: int) -> Hit | None:
        value = data[start:end].decode(errors="replace")
        if self._decode is not None:
            decoded = self._decode(value)
            if decoded is None:
                return None
            value = decoded
        accepted = self._rule.accept(value)
        if accepted is None:
            return None
        if self._decode is None and accepted != (0, len(value)):
            first, last = accepted
            start, end = start + len(value[:first].encode()), start + len(value[:last].encode())
            value = value[first:last]
        return Hit(rule=self._rule, action=self._action, start=start, end=end, value=value)


class RunMatcher:
    """
    Finds what *finders* look for inside runs of encoded text.

    A hit spans the whole run. A run of more than 128 groups of base64, or 170 pairs of
    hexadecimal digits, is taken apart and each part is read by itself.
    """

    __slots__ = ("_finders", "_regex", "looks_for")

    def __init__(self, run: Node, finders: Iterable[Finder]) -> None:
        self._finders = list(finders)
        self._regex = compile_regex(render(run))
        pairs = [pair for each in self._finders for pair in each.looks_for]
        self.looks_for = tuple(dict.fromkeys(pairs))

    def find(self, data: bytes, start: int, limit: int) -> tuple[list[Hit], int]:
        hits: list[Hit] = []
        while (match := self._regex.search(data, start)) is not None:
            begin, end = match.span()
            if begin >= limit:
                break
            hit = self._first_inside(data[begin:end])
            if hit is not None:
                hits.append(replace(hit, start=begin, end=end))
            start = end
        return hits, max(start, limit)

    def _first_inside(self, run: bytes) -> Hit | None:
        for decoded in decoded_run(run):
            for finder in self._finders:
                hits, _ = finder.find(decoded, 0, len(decoded))
                if hits:
                    return hits[0]
        return None


def _first_word_length(data: bytes, start: int, end: int) -> int:
    place = start
    while place < end and not data[place : place + 1].isalnum():
        place += 1
    while place < end and data[place : place + 1].isalnum():
        place += 1
    return max(place - start, 1)
