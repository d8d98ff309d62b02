"""
A rate limit over a sliding window: at most so many units in any span of its length.

The window is cut into 60 parts, and what passed is counted by part. A part counts until all of
it lies outside of the window, so a unit counts for up to one part too long and never too short.
"""

from dataclasses import dataclass

PART_COUNT = 60
_MINUTE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What one subject was let through of late: pairs of a part's number and its units."""

    parts: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, text: str) -> "Passed":
        """Return what `text` stored."""
        pairs = (part.split(":") for part in text.split(",")) if text else ()
        return cls(parts=tuple((int(number), int(count)) for number, count in pairs))

    @property
    def text(self) -> str:
        """The same as one text, for the store."""
        return ",".join(f"{number}:{count}" for number, count in self.parts)


NOTHING = Passed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """There is no room now."""

    retry_after_ns: int
    """When there will be, if nothing else passes before."""


class RateLimiter:
    """
    Limits rates per minute, counted over windows of *window_seconds*.

    A limit of 30 a minute lets 30 through in any 60 seconds. With a window of 120 seconds it is
    60 in any 120 seconds, which may come at once; with one of 10 seconds it is 5 in any 10.
    """

    def __init__(self, window_seconds: float = 60.0) -> None:
        self._nominal_ns = int(window_seconds * 1e9)
        self._part_ns = -(-self._nominal_ns // PART_COUNT)
        self._window_ns = self._part_ns * PART_COUNT

    def check(
        self, passed: Passed, *, now_ns: int, count: int, per_minute: int
    ) -> Passed | Refused:
        """
        Ask to let *count* units through; return what has passed with them.

        *per_minute* is at least 1. A count above the limit could never pass, so it counts as
        all of it.
        """
        limit = max(1, per_minute * self._nominal_ns // _MINUTE_NS)
        count = min(count, limit)
        parts = self._recent(passed, now_ns)
        excess = sum(units for _, units in parts) + count - limit
        if excess > 0:
            return Refused(retry_after_ns=self._wait_ns(parts, excess, now_ns))
        return _added(parts, now_ns // self._part_ns, count)

    def correct(self, passed: Passed, *, charged_ns: int, now_ns: int, count: int) -> Passed:
        """
        Return what has passed when *count* units that were let through were not used.

        They are given back where they were charged, at *charged_ns*, as long as that part
        counts. A negative count was used on top and counts from now on.
        """
        parts = self._recent(passed, now_ns)
        if count < 0:
            return _added(parts, now_ns // self._part_ns, -count)
        charged = charged_ns // self._part_ns
        left = ((number, units - count if number == charged else units) for number, units in parts)
        return Passed(parts=tuple((number, units) for number, units in left if units > 0))

    def recent(self, passed: Passed, now_ns: int) -> Passed:
        """Return what still counts of *passed*."""
        return Passed(parts=self._recent(passed, now_ns))

    def _recent(self, passed: Passed, now_ns: int) -> tuple[tuple[int, int], ...]:
        """Return the parts that count. One in the future, as after a wrong clock, counts as now."""
        present = now_ns // self._part_ns
        oldest = (now_ns - self._window_ns) // self._part_ns
        parts = passed.parts
        if parts and parts[-1][0] > present:
            merged: dict[int, int] = {}
            for number, units in parts:
                number = min(number, present)
                merged[number] = merged.get(number, 0) + units
            parts = tuple(merged.items())
        if parts and parts[0][0] < oldest:
            parts = tuple(part for part in parts if part[0] >= oldest)
        return parts

    def _wait_ns(self, parts: tuple[tuple[int, int], ...], excess: int, now_ns: int) -> int:
        for number, units in parts:
            excess -= units
            if excess <= 0:
                return (number + 1) * self._part_ns + self._window_ns - now_ns
        raise AssertionError("A count is at most the limit, so an empty window has room for it.")


def _added(parts: tuple[tuple[int, int], ...], number: int, count: int) -> Passed:
    if parts and parts[-1][0] == number:
        return Passed(parts=(*parts[:-1], (number, parts[-1][1] + count)))
    return Passed(parts=(*parts, (number, count)))
