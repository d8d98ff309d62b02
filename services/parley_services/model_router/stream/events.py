"""The events of one call of the router."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.usage import Usage
from parley_services.model_router.providers.provider import (
    Logprobs,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)
from parley_services.model_router.route.route_reason import RouteReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChosen:
    """The route that is asked."""

    provider: str
    model: str
    reason: RouteReason
    """Why this one."""
    attempt_number: int
    """The number of the attempt that it announces."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """A call to a provider ended."""

    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """Another route goes on."""

    from_model: str
    to_model: str
    to_provider: str
    reason: str
    """The kind of failure that made it so, or `hedge`."""
    restarts: bool
    """Whether text that was sent must be dropped."""
    attempt_number: int
    """The number of the attempt that it announces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Closes an answer."""

    finish_reason: FinishReason
    provider_finish_reason: str
    """The provider's own word, at most 64 characters; empty where the router ended the answer."""
    provider: str
    model: str
    usage: Usage
    cost_nano_usd: int


RouterEvent: TypeAlias = (
    RouteChosen
    | TextDelta
    | ReasoningDelta
    | ToolCallDone
    | Logprobs
    | AttemptEnded
    | Switched
    | Completed
)
"""`RouteChosen` first, `Completed` last."""

Emit: TypeAlias = Callable[[RouterEvent], Awaitable[None]]
"""Takes an event on its way to the caller; waits while the caller is behind."""
