"""Decides in which order matches take effect, and which give way to others."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.guardrails.matching import Finder, Hit
from services.guardrails.verdict import Action

REPLACING: Final = (Action.REDACT, Action.RESTORE)
"""Actions that put something else in the place of what was found."""

_RANKS: Final = {
    Action.OFF: 0,
    Action.FLAG: 1,
    Action.RESTORE: 2,
    Action.REDACT: 3,
    Action.BLOCK: 4,
}


class Arbiter:
    """
    Yields the matches of several finders from left to right.

    At one place, block comes before redact, then the graver rule, then the longer match.
    Matches that replace text do not overlap: one that begins inside what was taken is
    looked for again beside it. Offsets are bytes from the begin of the whole text; what
    comes out does not depend on the pieces in which the text was given.
    """

    def __init__(self, finders: Sequence[Finder]) -> None:
        self._finders = finders
        self._next = [0] * len(finders)
        self._taken_until = 0
        self.failed_rule_ids: set[str] = set()
        """Rules that raised an error."""

    def take(self, end: int) -> None:
        """Say that the text up to *end* was replaced."""
        self._taken_until = end

    def settled(self, data: bytes, *, offset: int, start: int, limit: int) -> Iterator[Hit]:
        """
        Yield the matches in *data* that begin from *start* on and before *limit*.

        *data* begins at *offset* of the whole; *start*, *limit* and the hits are relative
        to *data*. `take` counts from the next one on.
        """
        waiting: list[_Waiting] = []
        for index, next_start in enumerate(self._next):
            waiting += self._find(index, data, offset, max(next_start - offset, start), limit)
        heapq.heapify(waiting)
        while waiting:
            first = heapq.heappop(waiting)
            taken_until = self._taken_until - offset
            if first.hit.action in REPLACING and first.hit.start < taken_until:
                waiting = [each for each in waiting if each.finder != first.finder]
                waiting += self._find(first.finder, data, offset, taken_until, limit)
                heapq.heapify(waiting)
                continue
            yield first.hit

    def _find(
        self, index: int, data: bytes, offset: int, start: int, limit: int
    ) -> "list[_Waiting]":
        finder = self._finders[index]
        try:
            hits, next_start = finder.find(data, start, limit)
        except Exception:
            hits, next_start = self._after_failure(finder, start, limit), limit
        self._next[index] = next_start + offset
        return [_Waiting(order=_order(hit), finder=index, hit=hit) for hit in hits]

    def _after_failure(self, finder: Finder, start: int, limit: int) -> list[Hit]:
        """A rule that fails has seen nothing: what it would have stopped is stopped."""
        self.failed_rule_ids.update(rule.info.rule_id for rule, _ in finder.looks_for)
        return [
            Hit(rule=rule, action=Action.BLOCK, start=start, end=start + 1, value="")
            for rule, action in finder.looks_for
            if action in (Action.BLOCK, Action.REDACT) and start < limit
        ]


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class _Waiting:
    order: tuple[int, int, int, int, str]
    finder: int
    hit: Hit = field(compare=False)


def _order(hit: Hit) -> tuple[int, int, int, int, str]:
    info = hit.rule.info
    return hit.start, -_RANKS[hit.action], -info.severity, -hit.end, info.rule_id
