"""Decides in which order matches take effect, and which give way to others."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.finders import Finder, Hit
from parley_services.kit.chat.finding import GuardrailAction

REPLACING: Final = (GuardrailAction.REDACT, GuardrailAction.RESTORE)
"""Actions that put something else in the place of what was found."""

_RANKS: Final = {
    GuardrailAction.UNSPECIFIED: 0,
    GuardrailAction.FLAG: 1,
    GuardrailAction.RESTORE: 2,
    GuardrailAction.REDACT: 3,
    GuardrailAction.BLOCK: 4,
}


class Arbiter:
    """
    Yields the matches of several finders from left to right.

    At one place, block comes before redact, then the graver rule, then the longer match.
    Matches that replace text do not overlap: one that begins inside what was taken is
    looked for again beside it. Offsets are bytes from the begin of the whole text; what
    comes out does not depend on the pieces in which the text was given.
    """

    def __init__(self, finders: Sequence[Finder], failures: Failures) -> None:
        """Rules that raise an error are noted in *failures*."""
        self._finders = finders
        self._failures = failures
        self._next = [0] * len(finders)
        self._taken_until = 0

    def take(self, end: int) -> None:
        """Say that the text up to *end* was replaced."""
        self._taken_until = end

    def settled(self, data: bytes, *, offset: int, start: int, limit: int) -> Iterator[Hit]:
        """
        Yield the matches in *data* that begin from *start* on and before *limit*.

        *data* begins at *offset* of the whole; *start*, *limit* and the hits are relative
        to *data*. `take` counts from the next one on.

        Each finder is asked for one match at a time and never goes back, so that a text in
        which every match overlaps another takes linear time too.
        """
        waiting: list[_Waiting] = []
        for index, next_start in enumerate(self._next):
            self._look(index, waiting, data, offset, max(next_start - offset, start), limit)
        while waiting:
            first = heapq.heappop(waiting)
            taken_until = self._taken_until - offset
            if first.hit.action in REPLACING and first.hit.start < taken_until:
                self._look(first.finder, waiting, data, offset, taken_until, limit)
                continue
            yield first.hit
            next_start = self._next[first.finder] - offset
            self._look(first.finder, waiting, data, offset, next_start, limit)

    def _look(
        self,
        index: int,
        waiting: "list[_Waiting]",
        data: bytes,
        offset: int,
        start: int,
        limit: int,
    ) -> None:
        hit, next_start = self._finders[index].first(data, start, limit, self._failures)
        self._next[index] = next_start + offset
        if hit is not None:
            heapq.heappush(waiting, _Waiting(order=_order(hit), finder=index, hit=hit))


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class _Waiting:
    order: tuple[int, int, int, int, str]
    finder: int
    hit: Hit = field(compare=False)


def _order(hit: Hit) -> tuple[int, int, int, int, str]:
    info = hit.rule.info
    return hit.start, -_RANKS[hit.action], -info.severity, -hit.end, info.rule_id
