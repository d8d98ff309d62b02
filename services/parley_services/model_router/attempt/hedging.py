"""
A second route beside a first one that is slow to begin.

After Dean and Barroso, "The Tail at Scale" (2013): a second request once the first has
been out for longer than the 95th percentile cuts the tail at a cost of a few percent.
"""

from collections.abc import Sequence
from typing import Final

from parley_services.kit.clock import Clock
from parley_services.model_router.attempt.retry_budget import RetryBudget
from parley_services.model_router.route.chain import Step
from parley_services.model_router.route.routes import Permit, Routes

QUANTILE: Final = 0.95
"""How much of the first route's answers begin before a hedge is made: by itself it makes
hedges 5 % of the calls."""

SAVED_HEDGES: Final = 10.0
"""Hedges that a quiet time saves up at most, so that a slow minute has some."""


class Hedging:
    """Says when a second route is asked and which. Shared by all calls."""

    def __init__(self, routes: Routes, *, share: float, clock: Clock) -> None:
        """Keep hedges within *share* (0 to 1) of the calls, from the first call on."""
        self._routes = routes
        self._clock = clock
        self._budget = RetryBudget(share, reserve=SAVED_HEDGES, first=0.0)

    def record_call(self) -> None:
        """Count a call of a client."""
        self._budget.record_call()

    def wait_seconds(self, first: Step, second: Step, *, deadline: float) -> float | None:
        """
        Return how long the first route may take before the second one is asked too.

        None is never: nobody knows yet how long the first one takes, or the second one
        would not begin before *deadline*, on the monotonic clock.
        """
        wait = self._routes.first_token_quantile(first.model, QUANTILE)
        if wait is None:
            return None
        usual = self._routes.first_token_quantile(second.model, 0.5) or 0.0
        return wait if self._clock.monotonic() + wait + usual < deadline else None

    def second(self, others: Sequence[Step]) -> Step | None:
        """Return the first of *others* that takes calls now, None if none does."""
        return next((each for each in others if self._routes.lets_pass(each.model)), None)

    def permit(self, second: Step) -> Permit | None:
        """Return the permit to ask *second* now, None without a place or a hedge left."""
        if not self._budget.take():
            return None
        permit = self._routes.enter_now(second.model)
        if permit is None:
            self._budget.give_back()
        return permit
