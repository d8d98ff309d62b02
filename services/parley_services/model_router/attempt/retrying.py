"""When a route is asked again, and after which pause."""

import random

from tenacity import RetryCallState
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from parley_services.kit.clock import Clock
from parley_services.model_router.attempt.failures import FailureAction, ProviderError
from parley_services.model_router.attempt.policy import RouterPolicy


def pause_seconds(
    policy: RouterPolicy, number: int, draw: random.Random, at_least_seconds: float = 0.0
) -> float:
    """Return the pause before the retry of that *number*, from 1, jitter included."""
    doubled = policy.first_pause_seconds * 2.0 ** (number - 1)
    pause = max(min(doubled, policy.max_pause_seconds), at_least_seconds)
    return pause + draw.uniform(0, policy.jitter_seconds)


class PauseBetweenTries(wait_base):
    """
    Twice as long each time, plus jitter; longer if the provider asks for it.

    Another key is tried at once: the pause is for the provider's sake, not the key's.
    """

    def __init__(self, policy: RouterPolicy, draw: random.Random) -> None:
        self._policy = policy
        self._draw = draw

    def __call__(self, retry_state: RetryCallState) -> float:
        error = _error(retry_state)
        if error is not None and error.action is FailureAction.OTHER_KEY:
            return 0.0
        asked = error.failure.retry_after_seconds if error is not None else None
        return pause_seconds(self._policy, retry_state.attempt_number, self._draw, asked or 0.0)


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
