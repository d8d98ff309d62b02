"""The time a turn has left."""

from parley_services.kit.clock import Clock
from parley_services.kit.errors import DeadlineExceeded

MARGIN_SECONDS = 0.02
"""Kept back from every call out, so that the turn can still say what went wrong."""


class Deadline:
    """The end of a turn, on the monotonic clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.at = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left; negative once it is over."""
        return self.at - self._clock.monotonic()

    def timeout(self, cap_seconds: float | None = None) -> float:
        """
        Return the timeout of a call out: what is left less a margin, at most *cap_seconds*.

        Raises DeadlineExceeded if nothing is left.
        """
        left = self.remaining() - MARGIN_SECONDS
        if left <= 0:
            raise DeadlineExceeded("The deadline of the turn is over: allow it more time.")
        return left if cap_seconds is None else min(left, cap_seconds)
