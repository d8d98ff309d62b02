"""How hard the router tries."""

from dataclasses import dataclass

from parley_services.kit.chat.attempt import MidStreamPolicy
from parley_services.model_router.attempt.life_signs import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterPolicy:
    """How hard the router tries before it gives up. Made from the settings."""

    limits: Limits
    mid_stream_policy: MidStreamPolicy = MidStreamPolicy.CONTINUE
    retries: int = 3
    """Further tries of one route."""
    first_pause_seconds: float = 1.0
    """Before the first retry; each further pause is twice as long."""
    max_pause_seconds: float = 8.0
    jitter_seconds: float = 1.0
    """The most that is added to a pause, at random, so that retries do not come in step."""
    max_retry_after_seconds: float = 10.0
    """The longest pause that a provider may ask for; a longer one is a reason to move on."""
    max_switches: int = 8
    """The most changes of route in one call, so that broken streams cannot go on for ever."""
