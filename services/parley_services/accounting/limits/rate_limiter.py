"""
The generic cell rate algorithm: a rate limit that is one number.

The number is the theoretical arrival time, when all that was let through would be paid for
at the limit's rate. The limit's whole minute may come at once; then it comes back evenly.
ITU-T I.371, annex A; https://brandur.org/rate-limiting.
"""

from dataclasses import dataclass

_MINUTE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """There is room."""

    arrival_ns: int
    """The new theoretical arrival time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """There is none now."""

    retry_after_ns: int
    """When there will be."""


def check(arrival_ns: int, *, now_ns: int, count: int, per_minute: int) -> Allowed | Refused:
    """
    Ask to let *count* units through.

    *per_minute* is at least 1. A count above it could never pass, so it counts as the
    whole minute's worth.
    """
    count = min(count, per_minute)
    paid_ns = max(arrival_ns, now_ns) + count * _MINUTE_NS // per_minute
    if paid_ns - now_ns > _MINUTE_NS:
        return Refused(retry_after_ns=paid_ns - now_ns - _MINUTE_NS)
    return Allowed(arrival_ns=paid_ns)


def give_back(arrival_ns: int, *, count: int, per_minute: int) -> int:
    """Return the arrival time without *count* units that were let through but not used."""
    return arrival_ns - min(count, per_minute) * _MINUTE_NS // per_minute
