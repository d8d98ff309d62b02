"""Finds the matches of pattern rules in folded text."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from parley_services.guardrails.matching.failures import CLOSED, Failures
from parley_services.guardrails.patterns.parse import parse
from parley_services.guardrails.patterns.regex import compile_regex
from parley_services.guardrails.patterns.tree import Node, has_group, render
from parley_services.guardrails.rule import (
    AFTER_BYTES,
    EVIDENCE_BYTES,
    Candidate,
    EntityRule,
    PatternRule,
)
from parley_services.guardrails.text.encodings import BASE64_RUN, HEX_RUN, decoded_run
from parley_services.kit.chat.finding import FindingStage, GuardrailAction

RUN_NODES = (parse(BASE64_RUN, ignore_case=False), parse(HEX_RUN, ignore_case=False))
"""What encoded text looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A place in folded text where a rule found something."""

    rule: PatternRule | EntityRule
    action: GuardrailAction
    start: int
    """First byte."""

    end: int
    """One past the last byte."""

    value: str
    """What was found, folded."""

    key: str = ""
    """What all spellings of the value have in common."""

    score: float = 1.0
    """How sure the rule is, 0 to 1; 1 for patterns."""


class Finder(Protocol):
    """Looks for something from left to right."""

    def first(
        self, data: bytes, start: int, limit: int, failures: Failures
    ) -> tuple[Hit | None, int]:
        """
        Return the first hit in *data* that begins at *start* or later and before *limit*,
        None if there is none, and where to go on looking.

        A candidate at which the rule raises an error is noted in *failures*. It is a hit that
        blocks if the rule would block or redact, and is passed over else.
        """
        ...


def every_hit(finder: Finder, data: bytes, failures: Failures) -> Iterator[Hit]:
    """Yield all hits of *finder* in *data*, from left to right."""
    hit, start = finder.first(data, 0, len(data), failures)
    while hit is not None:
        yield hit
        hit, start = finder.first(data, start, len(data), failures)


class Matcher:
    """
    Finds what one rule looks for.

    Matches of one pattern do not overlap. A candidate that the rule refuses is tried again
    from after its first word, so that a number does not hide a card's number behind it.
    """

    __slots__ = ("_action", "_after_bytes", "_decode", "_evidence", "_has_group", "_regex", "_rule")

    def __init__(
        self,
        rule: PatternRule,
        action: GuardrailAction,
        node: Node,
        *,
        stage: FindingStage | None = None,
        decode: Callable[[str], str | None] | None = None,
    ) -> None:
        """
        Look for *node*, a pattern of *rule*, in a disguise that *decode* takes off.

        A match needs the evidence that the rule asks for at *stage*; without one its form is
        enough. *decode* returns None for a text that is not disguised.
        """
        self._evidence = rule.evidence.get(stage) if stage is not None else None
        # A stream may not have it yet, and must come to the same result as the whole answer.
        self._after_bytes = 0 if stage is FindingStage.OUTPUT else AFTER_BYTES
        self._rule = rule
        self._action = action
        self._decode = decode
        self._has_group = has_group(node)
        self._regex = compile_regex(render(node))

    def first(
        self, data: bytes, start: int, limit: int, failures: Failures
    ) -> tuple[Hit | None, int]:
        while (match := self._regex.search(data, start)) is not None:
            begin, end = match.span()
            if begin >= limit:
                break
            span = match.span(1) if self._has_group else (begin, end)
            hit = self._judge(data, *span, failures)
            if hit is not None:
                return hit, max(hit.end, begin + 1)
            start = begin + _first_word_length(data, begin, end)
        return None, max(start, limit)

    def _judge(self, data: bytes, start: int, end: int, failures: Failures) -> Hit | None:
        value = data[start:end].decode(errors="replace")
        if self._decode is not None:
            decoded = self._decode(value)
            if decoded is None:
                return None
            value = decoded
        try:
            accepted = self._rule.accept(value)
            if accepted is None:
                return None
            if self._decode is None and accepted != (0, len(value)):
                first, last = accepted
                start, end = start + len(value[:first].encode()), start + len(value[:last].encode())
                value = value[first:last]
            if self._evidence is not None and not self._evidence(
                self._candidate(data, start, end, value)
            ):
                return None
            key = self._rule.same_value(value)
        except Exception as error:
            failures.note(self._rule.info.rule_id, error)
            if self._action not in CLOSED:
                return None
            return Hit(
                rule=self._rule, action=GuardrailAction.BLOCK, start=start, end=end, value=value
            )
        return Hit(rule=self._rule, action=self._action, start=start, end=end, value=value, key=key)

    def _candidate(self, data: bytes, start: int, end: int, value: str) -> Candidate:
        before = data[max(start - EVIDENCE_BYTES, 0) : start]
        after = data[end : end + self._after_bytes]
        return Candidate(
            value=value,
            before=before.decode(errors="ignore"),
            after=after.decode(errors="ignore"),
        )


class RunMatcher:
    """
    Finds what *finders* look for inside runs of encoded text.

    A hit spans the whole run. A run of more than 128 groups of base64, or 170 pairs of
    hexadecimal digits, is taken apart and each part is read by itself.
    """

    __slots__ = ("_finders", "_may_hit", "_regex")

    def __init__(
        self,
        run: Node,
        finders: Iterable[Finder],
        *,
        may_hit: Callable[[bytes], bool] = lambda data: True,
    ) -> None:
        """Look for *run*. *may_hit* says cheaply whether *finders* have a chance in a text."""
        self._finders = list(finders)
        self._may_hit = may_hit
        self._regex = compile_regex(render(run))

    def first(
        self, data: bytes, start: int, limit: int, failures: Failures
    ) -> tuple[Hit | None, int]:
        while (match := self._regex.search(data, start)) is not None:
            begin, end = match.span()
            if begin >= limit:
                break
            hit = self._first_inside(data[begin:end], failures)
            if hit is not None:
                return replace(hit, start=begin, end=end), end
            start = end
        return None, max(start, limit)

    def _first_inside(self, run: bytes, failures: Failures) -> Hit | None:
        for decoded in filter(self._may_hit, decoded_run(run)):
            for finder in self._finders:
                hit, _ = finder.first(decoded, 0, len(decoded), failures)
                if hit is not None:
                    return hit
        return None


def _first_word_length(data: bytes, start: int, end: int) -> int:
    place = start
    while place < end and not data[place : place + 1].isalnum():
        place += 1
    while place < end and data[place : place + 1].isalnum():
        place += 1
    return max(place - start, 1)
