"""The live state of all routes: breakers, limits, and how fast they have been."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from parley_services.kit.chat.attempt import Attempt, AttemptOutcome
from parley_services.kit.clock import Clock
from parley_services.model_router.attempt.failures import (
    KEY_FAILURES,
    FailureKind,
    ProviderError,
)
from parley_services.model_router.route.breaker import Breaker, BreakerPolicy, BreakerState
from parley_services.model_router.route.catalogue import Model
from parley_services.model_router.route.first_tokens import FirstTokens
from parley_services.model_router.route.limiter import Limiter, LimiterPolicy, NoPlace
from parley_services.model_router.route.provider_key_pool import KeyHealth, ProviderKeyPool

MIN_SAMPLES: Final = 20
"""The least times to first token before a percentile of them means anything."""

OUTLIER_FACTOR: Final = 5.0
"""A route whose median time to first token is this many times that of the other routes is
asked last. Models differ by two or three times in normal use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteHealth:
    """How a route does, from the calls of the last minutes."""

    breaker: BreakerState
    error_rate: float
    first_token_p50_seconds: float | None
    first_token_p99_seconds: float | None
    in_flight_count: int
    concurrency_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A call that may be made, and with which key. To be handed to `Routes.leave`."""

    model: Model
    key: str
    breaker: Breaker
    limiter: Limiter
    is_shadow: bool = False


class Routes:
    """Lets calls to routes pass, and learns from how they end."""

    def __init__(
        self,
        keys: dict[str, ProviderKeyPool],
        *,
        clock: Clock,
        breaker_policy: BreakerPolicy | None = None,
        limiter_policy: LimiterPolicy | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._breaker_policy = breaker_policy or BreakerPolicy()
        self._limiter_policy = limiter_policy or LimiterPolicy()
        # Bounded by the catalogue: one entry a model and key.
        self._breakers: dict[tuple[str, str], dict[str, Breaker]] = {}
        self._limiters: dict[tuple[str, str], Limiter] = {}
        self._first_tokens: dict[tuple[str, str], FirstTokens] = {}

    async def enter(self, model: Model, tenant_id: str) -> Permit:
        """
        Return the permit to call *model*, waiting for a place if need be.

        Raises ProviderError: KEY_REFUSED when all keys rest, BREAKER_OPEN when each one's
        breaker is open, BUSY when there is no place. Nothing was sent then.
        """
        self._need_key(model)
        if not self.lets_pass(model):
            wait = min(each.retry_after_seconds for each in self._of_model(model).values())
            raise ProviderError(FailureKind.BREAKER_OPEN, retry_after_seconds=wait)
        limiter = self._limiter(model)
        try:
            await limiter.enter(tenant_id)
        except NoPlace:
            raise ProviderError(FailureKind.BUSY) from None
        permit = self._permit(model, limiter)
        if permit is None:
            limiter.leave()
            raise ProviderError(FailureKind.BREAKER_OPEN)
        return permit

    def enter_now(self, model: Model) -> Permit | None:
        """Return the permit to call *model* if there is a place at once, else None."""
        limiter = self._limiter(model)
        if not limiter.enter_now():
            return None
        permit = self._permit(model, limiter)
        if permit is None:
            limiter.leave()
        return permit

    def enter_shadow(self, model: Model) -> Permit:
        """
        Return the permit for a call beside the answers, which never waits nor probes.

        Raises ProviderError: KEY_REFUSED, BREAKER_OPEN unless a breaker is closed, BUSY.
        """
        pool = self._need_key(model)
        keys = [pool.pick() or "" for _ in pool.usable]
        breakers = ((key, self._breaker(model, key)) for key in keys)
        healthy = next((each for each in breakers if each[1].state is BreakerState.CLOSED), None)
        if healthy is None:
            raise ProviderError(FailureKind.BREAKER_OPEN)
        limiter = self._limiter(model)
        if not limiter.enter_shadow():
            raise ProviderError(FailureKind.BUSY)
        pool.begin(healthy[0])
        return Permit(
            model=model, key=healthy[0], breaker=healthy[1], limiter=limiter, is_shadow=True
        )

    def leave(
        self, permit: Permit, attempt: Attempt | None, error: ProviderError | None = None
    ) -> None:
        """
        Give *permit* back; *attempt* is what came of it, None if nothing was sent.

        From a call beside the answers nothing is learnt but how its key did.
        """
        pool = self._keys[permit.model.provider]
        if error is not None and error.kind in KEY_FAILURES:
            pool.refused(permit.key, error.kind)
        elif attempt is not None and attempt.first_token_seconds is not None:
            pool.accepted(permit.key)
        else:
            pool.released(permit.key)
        if permit.is_shadow:
            permit.limiter.leave_shadow()
            return
        failure = None if error is None else error.failure
        was_cancelled = attempt is None or attempt.outcome is AttemptOutcome.CANCELLED
        permit.breaker.leave(failure, was_cancelled=was_cancelled)
        permit.limiter.leave(
            was_too_much=error is not None
            and error.kind in (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED),
            ended_well=error is None and not was_cancelled,
        )
        if attempt is not None and attempt.first_token_seconds is not None:
            self.record_first_token(permit.model, attempt.first_token_seconds)

    def record_first_token(self, model: Model, seconds: float) -> None:
        """Note that an answer of *model* began after *seconds*, or had not begun by then."""
        self._times(model).add(seconds)

    def has_key(self, model: Model) -> bool:
        """Return whether a key of the model's provider may be used now."""
        return bool(self._keys[model.provider].usable)

    def key_health(self) -> Mapping[str, Sequence[KeyHealth]]:
        """Return how the keys of each provider do."""
        return {name: pool.health() for name, pool in sorted(self._keys.items())}

    def lets_pass(self, model: Model) -> bool:
        """Return whether a call to *model* could be made now, as far as breakers go."""
        keys = self._keys[model.provider].usable
        return any(self._breaker(model, key).lets_pass for key in keys)

    def outliers(self, models: Sequence[Model]) -> frozenset[str]:
        """Return the names of those of *models* that are far slower than the others."""
        medians = {model.name: self.first_token_quantile(model, 0.5) for model in models}
        known = {name: value for name, value in medians.items() if value is not None}
        if len(known) < 2:
            return frozenset()
        return frozenset(
            name
            for name, value in known.items()
            if value > OUTLIER_FACTOR * median(known[each] for each in known if each != name)
        )

    def first_token_quantile(self, model: Model, share: float) -> float | None:
        """Return the time to first token that *share* of recent calls kept, None if unknown."""
        times = self._times(model)
        return times.quantile(share) if len(times) >= MIN_SAMPLES else None

    def health(self, model: Model) -> RouteHealth:
        """Return how *model* does."""
        usable = self._keys[model.provider].usable
        breakers = [each for key, each in self._of_model(model).items() if key in usable]
        times = self._times(model)
        limiter = self._limiter(model)
        return RouteHealth(
            # While all keys rest no call passes, whatever the breakers say.
            breaker=_best(each.state for each in breakers) if usable else BreakerState.OPEN,
            error_rate=min((each.error_rate for each in breakers), default=0.0),
            first_token_p50_seconds=times.quantile(0.5),
            first_token_p99_seconds=times.quantile(0.99),
            in_flight_count=limiter.in_flight,
            concurrency_limit=limiter.limit,
        )

    def _permit(self, model: Model, limiter: Limiter) -> Permit | None:
        """Return the permit for the next key whose breaker lets a call pass, if any does."""
        pool = self._keys[model.provider]
        for _ in pool.usable:
            key = pool.pick()
            if key is not None and (breaker := self._breaker(model, key)).enter():
                pool.begin(key)
                return Permit(model=model, key=key, breaker=breaker, limiter=limiter)
        return None

    def _need_key(self, model: Model) -> ProviderKeyPool:
        pool = self._keys[model.provider]
        if not pool.usable:
            raise ProviderError(
                FailureKind.KEY_REFUSED, retry_after_seconds=pool.retry_after_seconds
            )
        return pool

    def _times(self, model: Model) -> FirstTokens:
        name = _name(model)
        if name not in self._first_tokens:
            self._first_tokens[name] = FirstTokens(self._clock)
        return self._first_tokens[name]

    def _of_model(self, model: Model) -> dict[str, Breaker]:
        return self._breakers.setdefault(_name(model), {})

    def _breaker(self, model: Model, key: str) -> Breaker:
        breakers = self._of_model(model)
        if key not in breakers:
            breakers[key] = Breaker(self._breaker_policy, self._clock)
        return breakers[key]

    def _limiter(self, model: Model) -> Limiter:
        name = _name(model)
        if name not in self._limiters:
            self._limiters[name] = Limiter(self._limiter_policy, self._clock)
        return self._limiters[name]


def _name(model: Model) -> tuple[str, str]:
    return model.provider, model.name


def _best(states: Iterable[BreakerState]) -> BreakerState:
    found = set(states)
    for state in (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN):
        if state in found:
            return state
    return BreakerState.CLOSED
