"""What all calls of a router share."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from parley_services.kit.clock import Clock
from parley_services.kit.rpc.pacing import Pacer
from parley_services.model_router.attempt.attempt_log import AttemptLog, NoAttemptLog
from parley_services.model_router.attempt.hedging import Hedging
from parley_services.model_router.attempt.policy import RouterPolicy
from parley_services.model_router.attempt.retry_budget import RetryBudget
from parley_services.model_router.providers.provider import Provider
from parley_services.model_router.route.routes import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterDependencies:
    """What all calls share."""

    providers: Mapping[str, Provider]
    routes: Routes
    retry_budget: RetryBudget
    hedging: Hedging | None
    """When a second route is asked beside a slow first one; None is never."""
    policy: RouterPolicy
    price_version: str
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    draw: random.Random
    log: AttemptLog = field(default_factory=NoAttemptLog)
    """Where attempts are written down before they are made."""
    pacer: Pacer = field(default_factory=Pacer)
    """Of many streams each is read less often: what came meanwhile is read at once."""
