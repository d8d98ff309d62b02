"""Admission in the memory of one process, for a ledger that no other process shares."""

import heapq
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from parley_services.accounting.clock_reader import ClockReader
from parley_services.accounting.ledger.turn import TurnKey
from parley_services.accounting.limits.admission import (
    AdmissionCounter,
    AdmissionLevel,
    AdmissionRequest,
    admit,
    is_limited,
    runs_already,
)
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.limits.rate_limiter import RateLimiter
from parley_services.accounting.subjects import SubjectKey, keys_of
from parley_services.kit.errors import Overloaded

_TURN_LIMIT = 200_000
"""Turns at once, some 500 bytes each. A process serves a few thousand."""

_COUNTERS_KEPT = 50_000
"""Counters before those that count nothing any more are dropped."""

LimitsReader = Callable[[Sequence[SubjectKey]], Awaitable[Mapping[SubjectKey, Limits]]]
"""Returns the limits that hold for subjects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    number: int
    reservation_id: str
    deadline_ns: int
    counters: tuple[AdmissionCounter, ...]


class MemoryAdmissions:
    """`Admissions` of one process. A restart forgets the rates and the running turns."""

    def __init__(
        self, limits_of: LimitsReader, *, limiter: RateLimiter, clock_reader: ClockReader
    ) -> None:
        self._limits_of = limits_of
        self._limiter = limiter
        self._clock_reader = clock_reader
        self._counters: dict[str, AdmissionCounter] = {}
        self._admitted: dict[TurnKey, _Admitted] = {}
        self._deadlines: list[tuple[int, int, TurnKey]] = []
        self._numbers = itertools.count()
        self._forget_above = _COUNTERS_KEPT

    async def admit(self, request: AdmissionRequest) -> datetime:
        limits = await self._limits_of(keys_of(request.subject))
        # From here on nothing waits, so that no other admission comes between.
        now_ns = self._clock_reader.read().monotonic_ns
        self._expire(now_ns)
        key = request.turn_key
        known = self._admitted.get(key)
        if known is not None:
            if known.reservation_id != request.reservation_id:
                raise runs_already()
            return self._clock_reader.wall_time(known.deadline_ns)
        if len(self._admitted) >= _TURN_LIMIT:
            raise Overloaded("Too many turns run at once: try again soon.", retry_after_seconds=1)
        levels = [
            AdmissionLevel(key=each, limits=limits[each], counter=self._counter(each))
            for each in keys_of(request.subject)
            if is_limited(limits[each])
        ]
        admit(levels, self._limiter, now_ns)
        deadline_ns = now_ns + int(request.lease_seconds * 1e9)
        number = next(self._numbers)
        self._admitted[key] = _Admitted(
            number=number,
            reservation_id=request.reservation_id,
            deadline_ns=deadline_ns,
            counters=tuple(level.counter for level in levels),
        )
        heapq.heappush(self._deadlines, (deadline_ns, number, key))
        return self._clock_reader.wall_time(deadline_ns)

    async def end(self, key: TurnKey, reservation_id: str = "") -> None:
        known = self._admitted.get(key)
        if known is not None and reservation_id in ("", known.reservation_id):
            self._end(key, known)

    def _end(self, key: TurnKey, known: _Admitted) -> None:
        del self._admitted[key]
        for counter in known.counters:
            counter.running_turn_count -= 1

    def _expire(self, now_ns: int) -> None:
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= now_ns:
            _, number, key = heapq.heappop(deadlines)
            known = self._admitted.get(key)
            if known is not None and known.number == number:
                self._end(key, known)
        if len(self._deadlines) > 2 * len(self._admitted) + 1000:
            # Turns end long before their leases; what is left of them would pile up.
            self._deadlines = [
                (each.deadline_ns, each.number, key) for key, each in self._admitted.items()
            ]
            heapq.heapify(self._deadlines)
        if len(self._counters) > self._forget_above:
            self._forget(now_ns)

    def _forget(self, now_ns: int) -> None:
        for text, counter in list(self._counters.items()):
            counter.requests = self._limiter.recent(counter.requests, now_ns)
            if counter.is_empty:
                del self._counters[text]
        self._forget_above = max(_COUNTERS_KEPT, 2 * len(self._counters))

    def _counter(self, key: SubjectKey) -> AdmissionCounter:
        counter = self._counters.get(key.text)
        if counter is None:
            counter = self._counters[key.text] = AdmissionCounter()
        return counter
