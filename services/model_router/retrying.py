"""When a route is asked again, and after which pause."""

import random

from tenacity import RetryCallState
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from services.kit.clock import Clock
from services.model_router.failures import ProviderError, Treatment
from services.model_router.policy import RouterPolicy


class PauseBetweenTries(wait_base):
    """
    Twice as long each time, plus jitter; longer if the provider asks for it.

    Another key is tried at once: the pause is for the provider's sake, not the key's.
    """

    def __init__(self, policy: RouterPolicy, draw: random.Random) -> None:
        self._policy = policy
        self._draw = draw

    def __call__(self, retry_state: RetryCallState) -> float:
        policy = self._policy
        error = _error(retry_state)
        if error is not None and error.treatment is Treatment.OTHER_KEY:
            return 0.0
        doubled = policy.first_pause_seconds * 2.0 ** (retry_state.attempt_number - 1)
        pause = min(doubled, policy.max_pause_seconds)
        asked = error.failure.retry_after_seconds if error is not None else None
        return max(pause, asked or 0.0) + self._draw.uniform(0, policy.jitter_seconds)


class StopAtDeadline(stop_base):
    """Stops when the pause would last until the deadline or beyond."""

    def __init__(self, deadline: float, clock: Clock) -> None:
        self._deadline = deadline
        self._clock = clock

    def __call__(self, retry_state: RetryCallState) -> bool:
        return self._clock.monotonic() + retry_state.upcoming_sleep >= self._deadline


def _error(retry_state: RetryCallState) -> ProviderError | None:
    outcome = retry_state.outcome
    error = outcome.exception() if outcome is not None else None
    return error if isinstance(error, ProviderError) else None
