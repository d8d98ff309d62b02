"""
Admission: whether a turn may begin, by the rates and the turns at once of its subject.

It knows nothing of money. What it counts is needed for a minute or for the length of a turn,
so it is not part of the ledger: one process keeps it in memory, several share a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parley_services.accounting.ledger.turn import TurnKey
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.limits.rate_limiter import NOTHING, Passed, RateLimiter, Refused
from parley_services.accounting.subjects import SubjectKey
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import ConcurrencyLimited, RateLimited, StateForbids

_BUSY_RETRY_SECONDS = 1.0
"""When to try again if only running turns are in the way; they end in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRequest:
    """A turn that wants to begin."""

    request_id: str
    subject: Subject
    reservation_id: str
    """The caller's choice, one for each run of the turn."""
    lease_seconds: float
    """How long the turn counts as running if nobody ends it."""

    @property
    def turn_key(self) -> TurnKey:
        """The turn's identity."""
        return TurnKey(tenant_id=self.subject.tenant_id, request_id=self.request_id)


@dataclass(slots=True, kw_only=True)
class AdmissionCounter:
    """What admission counts of one subject. It changes within one admission."""

    requests: Passed = NOTHING
    running_turn_count: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether forgetting it makes no difference once its window is over."""
        return not self.running_turn_count and not self.requests.parts


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLevel:
    """One subject of a turn that has a rate or a concurrency limit, and its counter."""

    key: SubjectKey
    limits: Limits
    counter: AdmissionCounter


class Admissions(Protocol):
    """The turns that run. Levels without a limit are not counted."""

    async def admit(self, request: AdmissionRequest) -> datetime:
        """
        Let the turn begin and return when its lease ends, by the wall clock.

        A repeated call with the same reservation id changes nothing. Raises RateLimited,
        ConcurrencyLimited, StateForbids while another run of the turn is admitted,
        DependencyUnavailable if the store is away, Overloaded if too many calls wait.
        """
        ...

    async def end(self, key: TurnKey, reservation_id: str = "") -> None:
        """
        Count the turn as ended, unless it is not known, or *reservation_id* is of another run.

        Raises DependencyUnavailable if the store is away.
        """
        ...


def is_limited(limits: Limits) -> bool:
    """Tell whether admission has to count a subject with *limits*."""
    return bool(limits.requests_per_minute or limits.max_concurrent_turns)


def admit(levels: Sequence[AdmissionLevel], limiter: RateLimiter, now_ns: int) -> None:
    """
    Count one more turn on all *levels*, or on none.

    Raises RateLimited or ConcurrencyLimited for the widest level that has no room.
    """
    after: list[Passed] = []
    for level in levels:
        after.append(_check_rate(level, limiter, now_ns))
        _check_concurrency(level)
    for level, requests in zip(levels, after, strict=True):
        level.counter.requests = requests
        level.counter.running_turn_count += 1


def rate_limited(key: SubjectKey, unit: str, per_minute: int, refused: Refused) -> RateLimited:
    """Return the error for a rate that is used up."""
    seconds = refused.retry_after_ns / 1e9
    return RateLimited(
        f"{key.name} has used its {per_minute} {unit} a minute: try again in {seconds:.1f} s.",
        metadata={"subject": key.name, "limit": str(per_minute), "unit": unit},
        retry_after_seconds=seconds,
    )


def runs_already() -> StateForbids:
    """Return the error for a second run of a turn."""
    return StateForbids(
        "This turn runs already, or ran until its process died: wait for it or begin a new one "
        "with a new request id."
    )


def _check_rate(level: AdmissionLevel, limiter: RateLimiter, now_ns: int) -> Passed:
    per_minute, requests = level.limits.requests_per_minute, level.counter.requests
    if not per_minute:
        return requests
    match limiter.check(requests, now_ns=now_ns, count=1, per_minute=per_minute):
        case Refused() as refused:
            raise rate_limited(level.key, "requests", per_minute, refused)
        case passed:
            return passed


def _check_concurrency(level: AdmissionLevel) -> None:
    limit = level.limits.max_concurrent_turns
    if limit and level.counter.running_turn_count >= limit:
        raise ConcurrencyLimited(
            f"{level.key.name} has {limit} turns running, as many as it may: "
            "try again when one has ended.",
            metadata={"subject": level.key.name, "limit": str(limit)},
            retry_after_seconds=_BUSY_RETRY_SECONDS,
        )
