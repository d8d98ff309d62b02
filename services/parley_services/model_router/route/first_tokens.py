"""How long a model took until its answers began."""

from bisect import bisect_left, insort
from collections import deque
from typing import Final

from parley_services.kit.clock import Clock

KEPT: Final = 200
MAX_AGE_SECONDS: Final = 300.0


class FirstTokens:
    """
    The times to first token of the last answers: at most 200, none older than 5 minutes.

    Kept in order, since each call asks for a quantile of each route of its chain.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_age: deque[tuple[float, float]] = deque()
        self._ordered: list[float] = []

    def __len__(self) -> int:
        """Return how many there are."""
        self._forget()
        return len(self._ordered)

    def add(self, seconds: float) -> None:
        """Note that an answer began after *seconds*."""
        self._by_age.append((self._clock.monotonic(), seconds))
        insort(self._ordered, seconds)
        if len(self._by_age) > KEPT:
            self._drop_oldest()

    def quantile(self, share: float) -> float | None:
        """Return the time that *share* (0 to 1) of the answers kept, None without any."""
        self._forget()
        ordered = self._ordered
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None

    def _forget(self) -> None:
        oldest = self._clock.monotonic() - MAX_AGE_SECONDS
        while self._by_age and self._by_age[0][0] < oldest:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, seconds = self._by_age.popleft()
        del self._ordered[bisect_left(self._ordered, seconds)]
