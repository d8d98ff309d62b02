"""Whose time it is in a transaction of the ledger."""

from datetime import datetime
from typing import Protocol

from parley_services.accounting.clock_reader import ClockReader, Timestamp, from_us
from parley_services.accounting.sql.statements import Driver, Statement

DATABASE_US = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The time of a PostgreSQL server, in microseconds since 1970."""

_READ = Statement(sqlite="SELECT 0", postgresql=f"SELECT {DATABASE_US}")


class LedgerClock(Protocol):
    """Tells the time to all commands of a transaction."""

    def timestamp(self, database_us: int) -> Timestamp:
        """Return the present; *database_us* is what the database says, 0 if it has no clock."""
        ...

    def wall_time(self, monotonic_ns: int) -> datetime:
        """Return when, by the wall clock, *monotonic_ns* is."""
        ...


class ProcessClock:
    """The clock of this process, for a ledger that no other process shares."""

    def __init__(self, reader: ClockReader) -> None:
        self._reader = reader

    def timestamp(self, database_us: int) -> Timestamp:
        return self._reader.read()

    def wall_time(self, monotonic_ns: int) -> datetime:
        return self._reader.wall_time(monotonic_ns)


class DatabaseClock:
    """
    The clock of the database, so that no process's clock matters to the others.

    Both parts of a timestamp are the server's wall clock, since processes cannot share a
    monotonic one.
    """

    def timestamp(self, database_us: int) -> Timestamp:
        return Timestamp(utc=from_us(database_us), monotonic_ns=database_us * 1000)

    def wall_time(self, monotonic_ns: int) -> datetime:
        return from_us(monotonic_ns // 1000)


def read(clock: LedgerClock, driver: Driver) -> Timestamp:
    """Return the present inside a transaction."""
    (database_us,) = driver.one(_READ)
    return clock.timestamp(database_us)
