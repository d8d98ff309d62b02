"""A clock that a test moves."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """A `parley_services.kit.clock.Clock` that stands still until `advance`."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 1000.0

    def monotonic(self) -> float:
        return self._monotonic

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
