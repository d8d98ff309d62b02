"""A point in time, read once for each command."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from parley_services.kit.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """
    When a command happens, on two clocks.

    Dates, as the day of a budget, follow the wall clock. Leases and rates follow a clock that
    does not jump when somebody sets the machine's time.
    """

    utc: datetime
    """The date and time, aware, in UTC."""

    monotonic_ns: int
    """Nanoseconds since 1970 by a clock that can be compared across restarts."""


class ClockReader:
    """
    Reads timestamps off the clock of this process.

    The monotonic part is the wall clock at the start of the process and the monotonic clock
    since.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        wall_ns = to_us(clock.now()) * 1000
        self._offset_ns = wall_ns - int(clock.monotonic() * 1e9)

    def read(self) -> Timestamp:
        """Return the present."""
        return Timestamp(
            utc=self._clock.now(),
            monotonic_ns=self._offset_ns + int(self._clock.monotonic() * 1e9),
        )

    def wall_time(self, monotonic_ns: int) -> datetime:
        """Return when, by the wall clock of now, *monotonic_ns* is."""
        present = self.read()
        return present.utc + timedelta(microseconds=(monotonic_ns - present.monotonic_ns) // 1000)


def to_us(time: datetime) -> int:
    """Return microseconds since 1970. Exact, unlike `timestamp()`."""
    return (time - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the time, aware, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)
