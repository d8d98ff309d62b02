"""What all calls of a router share."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from services.kit.clock import Clock
from services.kit.pacing import Pacer
from services.model_router.attempt_log import AttemptLog, NoAttemptLog
from services.model_router.budget import ShareBudget
from services.model_router.hedging import Hedging
from services.model_router.policy import RouterPolicy
from services.model_router.provider import Provider
from services.model_router.routes import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all calls share."""

    providers: Mapping[str, Provider]
    routes: Routes
    retry_budget: ShareBudget
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
