"""The rules for a whole text, compiled."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.guardrails.arbiter import REPLACING, Arbiter
from services.guardrails.encodings import unescaped
from services.guardrails.matching import RUN_NODES, Finder, Hit, Matcher, RunMatcher
from services.guardrails.normalization import skeleton, view, visible
from services.guardrails.patterns.parse import parse
from services.guardrails.patterns.regex import NOTHING, compile_regex
from services.guardrails.patterns.tree import Node, render
from services.guardrails.rule import PatternRule
from services.guardrails.verdict import Action

_ROT13: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    b"NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A hit and where it is in the original text, in characters."""

    hit: Hit
    start: int
    end: int


class TextPlan:
    """
    The pattern rules of one stage, for texts that are there as a whole.

    Rules that see through disguises also read the text in ROT13, backwards, with its
    escapes replaced, and what is inside runs of base64 and hexadecimal digits. What is
    found in such a reading spans the part of the original that it was read from.
    """

    def __init__(self, rules: Iterable[tuple[PatternRule, Action]]) -> None:
        chosen = list(rules)
        self._visible = _FoldPlan([each for each in chosen if not each[0].ignore_lookalikes])
        self._skeleton = _FoldPlan([each for each in chosen if each[0].ignore_lookalikes])
        self.rules = tuple(rule.info for rule, _ in chosen)

    def find(self, text: str) -> "Finds":
        """Return what the rules find in *text*, in the order in which it begins."""
        found: list[Found] = []
        failed: set[str] = set()
        visible_view = view(text, visible())
        skeleton_view = view(text, skeleton())
        for plan, seen in ((self._visible, visible_view), (self._skeleton, skeleton_view)):
            arbiter = plan.arbiter()
            for hit in plan.find(seen.data, arbiter):
                start, end = seen.span(hit.start, hit.end)
                found.append(Found(hit=hit, start=start, end=end))
            failed |= arbiter.failed_rule_ids
        found.sort(key=lambda each: (each.start, -each.hit.action, -each.end))
        return Finds(found=found, failed_rule_ids=failed, normalized=visible_view.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finds:
    """What was found in a text."""

    found: list[Found]
    failed_rule_ids: set[str]
    normalized: bytes


class _FoldPlan:
    """The rules that see a text in one fold."""

    def __init__(self, rules: Sequence[tuple[PatternRule, Action]]) -> None:
        parts = [
            (rule, node, Matcher(rule, action, node))
            for rule, action in rules
            for node in (parse(each, ignore_case=rule.ignore_case) for each in rule.patterns)
        ]
        self._direct = _Finders([(node, matcher) for _, node, matcher in parts])
        self._seeing = _Finders(
            [(node, matcher) for rule, node, matcher in parts if rule.sees_through]
        )
        self._runs = (
            [RunMatcher(run, [self._seeing]) for run in RUN_NODES] if self._seeing.finders else []
        )

    def arbiter(self) -> Arbiter:
        return Arbiter(self._direct.finders)

    def find(self, data: bytes, arbiter: Arbiter) -> Iterator[Hit]:
        if self._direct.may_hit(data):
            for hit in arbiter.settled(data, offset=0, start=0, limit=len(data)):
                if hit.action in REPLACING:
                    arbiter.take(hit.end)
                yield hit
        if self._runs:
            yield from self._find_in_disguise(data)

    def _find_in_disguise(self, data: bytes) -> Iterator[Hit]:
        for runs in self._runs:
            yield from runs.find(data, 0, len(data))[0]
        yield from self._seeing.find(data.translate(_ROT13), 0, len(data))[0]
        for hit in self._seeing.find(data[::-1], 0, len(data))[0]:
            yield replace(hit, start=len(data) - hit.end, end=len(data) - hit.start)
        plain = unescaped(data)
        if plain is not None:
            text, places = plain
            for hit in self._seeing.find(text, 0, len(text))[0]:
                yield replace(hit, start=places[hit.start], end=places[hit.end - 1] + 1)


class _Finders:
    """Several finders behind one expression that says whether any has a chance."""

    def __init__(self, parts: Sequence[tuple[Node, Finder]]) -> None:
        self.finders = [finder for _, finder in parts]
        self.looks_for = tuple(pair for each in self.finders for pair in each.looks_for)
        anything = "|".join(f"(?:{render(node)})" for node, _ in parts) or NOTHING
        self._anything = compile_regex(anything)

    def may_hit(self, data: bytes) -> bool:
        return self._anything.search(data) is not None

    def find(self, data: bytes, start: int, limit: int) -> tuple[list[Hit], int]:
        if not self.may_hit(data):
            return [], limit
        return [hit for each in self.finders for hit in each.find(data, start, limit)[0]], limit
