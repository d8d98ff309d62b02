"""Keeps extra calls a small share of all calls, so that a failure does not become a storm."""


class RetryBudget:
    """
    Allows extra calls up to a share of the calls.

    A token bucket, as Finagle's retry budget: each call puts *share* of a token in, each
    extra call takes a whole one out. The reserve it starts with, and can save up to, lets
    a quiet system retry too.
    """

    def __init__(self, share: float, *, reserve: float, first: float | None = None) -> None:
        """
        Allow *share* (0 to 1) of the calls, and *reserve* calls at once.

        *first* is what it starts with, the whole reserve unless given. With 0 the extra
        calls never were more than their share of all.
        """
        self._share = share
        self._reserve = reserve
        self._tokens = reserve if first is None else first

    def record_call(self) -> None:
        """Count a call."""
        self._tokens = min(self._tokens + self._share, self._reserve)

    def take(self) -> bool:
        """Return whether an extra call may be made now, and count it."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """Uncount an extra call that was not made after all."""
        self._tokens += 1
