"""Stops calls to a route that keeps failing, and probes whether it is healthy again."""

from collections import deque
from dataclasses import dataclass

from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.kit.clock import Clock
from parley_services.model_router.attempt.failures import ROUTE_FAULTS, Failure, FailureKind


class BreakerState(WireEnum):
    """Whether calls pass."""

    UNSPECIFIED = 0
    CLOSED = 1
    HALF_OPEN = 2
    OPEN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a route is ejected and for how long."""

    window_seconds: float = 30.0
    """How far back calls count."""
    min_calls: int = 5
    """The least calls in the window before their share of errors means anything."""
    max_error_rate: float = 0.5
    first_open_seconds: float = 5.0
    """How long it stays open; twice as long each time that a probe fails."""
    max_open_seconds: float = 60.0


class Breaker:
    """
    The breaker of one provider, model and key.

    A route that is rate limited is not unhealthy: it is left alone for as long as the provider
    asks and then used again at once, without a probe.
    """

    def __init__(self, policy: BreakerPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._calls: deque[tuple[float, bool]] = deque()
        self._errors = 0
        self._open_until: float | None = None
        self._open_seconds = policy.first_open_seconds
        self._limited_until = 0.0
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state now."""
        now = self._clock.monotonic()
        if self._open_until is None:
            return BreakerState.OPEN if now < self._limited_until else BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    @property
    def retry_after_seconds(self) -> float:
        """Seconds until a call may pass; 0 if one may now."""
        until = max(self._limited_until, self._open_until or 0.0)
        return max(0.0, until - self._clock.monotonic())

    @property
    def lets_pass(self) -> bool:
        """Whether `enter` would let a call pass now."""
        state = self.state
        return state is BreakerState.CLOSED or (
            state is BreakerState.HALF_OPEN and not self._probing
        )

    def enter(self) -> bool:
        """Let a call pass, or not. Each call that passes must `leave`."""
        if not self.lets_pass:
            return False
        self._probing = self._open_until is not None
        return True

    def leave(self, failure: Failure | None, *, was_cancelled: bool = False) -> None:
        """Note how a call ended; a cancelled one says nothing of the route."""
        was_probe, self._probing = self._probing, False
        if was_cancelled:
            return
        if failure is not None and failure.kind is FailureKind.RATE_LIMITED:
            wait = min(failure.retry_after_seconds or 0.0, self._policy.max_open_seconds)
            self._limited_until = max(self._limited_until, self._clock.monotonic() + wait)
            return
        is_fault = failure is not None and failure.kind in ROUTE_FAULTS
        if self._open_until is not None:
            self._end_probe(is_fault=is_fault, was_probe=was_probe)
            return
        self._note(is_fault)
        if len(self._calls) >= self._policy.min_calls and self.error_rate >= (
            self._policy.max_error_rate
        ):
            self._open()

    @property
    def error_rate(self) -> float:
        """Share of the calls in the window that failed by the route's fault, 0 to 1."""
        self._forget()
        return self._errors / len(self._calls) if self._calls else 0.0

    def _end_probe(self, *, is_fault: bool, was_probe: bool) -> None:
        if is_fault:
            if was_probe:
                self._open_seconds = min(self._open_seconds * 2, self._policy.max_open_seconds)
            self._open()
        elif was_probe:
            self._open_until = None
            self._open_seconds = self._policy.first_open_seconds
            self._calls.clear()
            self._errors = 0

    def _open(self) -> None:
        self._open_until = self._clock.monotonic() + self._open_seconds

    def _note(self, is_fault: bool) -> None:
        self._calls.append((self._clock.monotonic(), is_fault))
        self._errors += is_fault
        self._forget()

    def _forget(self) -> None:
        oldest = self._clock.monotonic() - self._policy.window_seconds
        while self._calls and self._calls[0][0] < oldest:
            self._errors -= self._calls.popleft()[1]
