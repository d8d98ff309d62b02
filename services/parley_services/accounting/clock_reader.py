"""A point in time, read once for each step."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from parley_services.kit.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    When a step happens, on two clocks.

    Dates, as the day of a budget, follow the wall clock. Leases and rates follow a clock
    that never jumps, so that setting the machine's time neither frees nor ends them.
    """

    now: datetime
    """The date and time, aware, in UTC."""

    steady_ns: int
    """Nanoseconds since 1970 by the wall clock at the start of the process, and by the
    monotonic clock since: it can be compared between replicas and across restarts."""


class Timekeeper:
    """Reads moments off a clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        wall_ns = to_us(clock.now()) * 1000
        self._offset_ns = wall_ns - int(clock.monotonic() * 1e9)

    def moment(self) -> Moment:
        """Return the present."""
        return Moment(
            now=self._clock.now(),
            steady_ns=self._offset_ns + int(self._clock.monotonic() * 1e9),
        )

    def wall_time(self, steady_ns: int) -> datetime:
        """Return when, by the wall clock of now, *steady_ns* is."""
        present = self.moment()
        return present.now + timedelta(microseconds=(steady_ns - present.steady_ns) // 1000)


def to_us(time: datetime) -> int:
    """Return microseconds since 1970. Exact, unlike `timestamp()`."""
    return (time - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the time, aware, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)
