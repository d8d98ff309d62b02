import random

import pytest
from parley_services.kit.chat.message import Message, Role
from parley_services.kit.clock import SystemClock
from parley_services.kit.models.prices import PriceTable
from parley_services.model_router.attempt.attempt_log import NoAttemptLog
from parley_services.model_router.attempt.hedging import Hedging
from parley_services.model_router.attempt.live_attempt import Limits
from parley_services.model_router.attempt.policy import RouterPolicy
from parley_services.model_router.attempt.retry_budget import RetryBudget
from parley_services.model_router.dependencies import RouterDependencies
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.provider import ModelTraits, TextDelta
from parley_services.model_router.route.auto import AutoScore
from parley_services.model_router.route.breaker import BreakerPolicy
from parley_services.model_router.route.catalogue import Catalogue, Group, Link, Model
from parley_services.model_router.route.provider_key_pool import ProviderKeyPool
from parley_services.model_router.route.routes import Routes
from parley_services.model_router.router import Router
from parley_services.model_router.stream.events import AttemptEnded


@pytest.fixture(scope="session")
def prices():
    return PriceTable.load()


def request_for(model="", **fields):
    fields.setdefault("messages", (Message(role=Role.USER, text="What is a quay?"),))
    return GenerationRequest(request_id="r1", model=model, **fields)


def model(name, *, provider=None, context=128_000, features=("tools", "vision", "json_object")):
    return Model(
        name=name,
        provider=provider or name,
        traits=ModelTraits(name="gpt-4o", max_output_token_count=1000),
        context_token_count=context,
        features=frozenset(features),
    )


class Bench:
    """A router over scripted providers: each is a model of its own, chained as given."""

    def __init__(
        self,
        prices,
        *,
        keys=None,
        models=None,
        policy=None,
        clock=None,
        breaker_policy=None,
        limiter_policy=None,
        retry_reserve=100.0,
        hedge_share=None,
        sleep=None,
        log=None,
        **providers,
    ):
        self.pauses = []
        self._manual_clock = clock
        self.providers = providers
        # Scripted models are priced as OpenAI's, whatever their provider is called.
        models = models or {name: model(name) for name in providers}
        links = tuple(Link(model=each, priority=n) for n, each in enumerate(models.values()))
        self.routes = Routes(
            {
                name: ProviderKeyPool(
                    name, (keys or {}).get(name, [""]), clock=clock or SystemClock()
                )
                for name in providers
            },
            clock=clock or SystemClock(),
            breaker_policy=breaker_policy or BreakerPolicy(min_calls=1000),
            limiter_policy=limiter_policy,
        )
        self.hedging = (
            None
            if hedge_share is None
            else Hedging(self.routes, share=hedge_share, clock=clock or SystemClock())
        )
        self.router = Router(
            Catalogue(
                models=models.values(),
                groups=[Group(name="default", links=links)],
                default_group="default",
            ),
            RouterDependencies(
                providers=providers,
                routes=self.routes,
                retry_budget=RetryBudget(0.1, reserve=retry_reserve),
                hedging=self.hedging,
                policy=policy
                or RouterPolicy(
                    limits=Limits(first_token_seconds=5, stall_seconds=5), jitter_seconds=0
                ),
                price_version="test",
                clock=clock or SystemClock(),
                sleep=sleep or self._sleep,
                draw=random.Random(1),
                log=log or NoAttemptLog(),
            ),
            prices,
            auto_score=AutoScore.load(),
            unknown_price=prices.price(provider="openai", model="gpt-4o", at=SystemClock().now()),
        )

    async def _sleep(self, seconds):
        self.pauses.append(seconds)
        if self._manual_clock is not None:
            self._manual_clock.advance(seconds)

    async def answer(self, request=None, timeout_seconds=60.0):
        """Return all events of one call."""
        events, error = await self.outcome(request, timeout_seconds)
        if error is not None:
            raise error
        return events

    async def outcome(self, request=None, timeout_seconds=60.0):
        """Return the events until the call ended, and the error that ended it, if any."""
        call = self.router.start(request or request_for(), timeout_seconds=timeout_seconds)
        events = []
        try:
            await call.run(into(events))
        except Exception as error:
            return events, error
        return events, None


def into(events):
    """Return an `emit` that collects."""

    async def emit(event):
        events.append(event)

    return emit


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def attempts_of(events):
    return [event.attempt for event in events if isinstance(event, AttemptEnded)]


@pytest.fixture
def bench(prices):
    def make(**arguments):
        return Bench(prices, **arguments)

    return make
