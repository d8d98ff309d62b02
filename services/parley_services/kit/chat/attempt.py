"""Calls to providers: `parley.chat.v1.attempt`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from parley_services.kit.chat.usage import Usage
from parley_services.kit.chat.wire_enum import WireEnum


class AttemptKind(WireEnum):
    """What a call to a provider is for."""

    UNSPECIFIED = 0
    PRIMARY = 1
    RETRY = 2
    FALLBACK = 3
    HEDGE = 4
    CONTINUATION = 5
    REPAIR = 6
    SHADOW = 7
    EMBEDDING = 8


class AttemptOutcome(WireEnum):
    """How a call to a provider ended."""

    UNSPECIFIED = 0
    SUCCEEDED = 1
    FAILED = 2
    """With an error before any output."""
    CUT = 3
    """With an error after some output."""
    CANCELLED = 4
    """By the client's cancel or deadline, or since another attempt won."""


class MidStreamPolicy(WireEnum):
    """What happens when a provider fails after text was sent; UNSPECIFIED is the setting."""

    UNSPECIFIED = 0
    CONTINUE = 1
    """The next route continues the text."""
    RESTART = 2
    """The client drops the text, and the answer starts again."""
    FAIL = 3
    """The call fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to a provider that ended, with what it used and cost."""

    number: int
    """In its turn, from 1."""
    provider: str
    model: str
    """The model, as the provider calls it."""
    kind: AttemptKind = AttemptKind.PRIMARY
    outcome: AttemptOutcome = AttemptOutcome.UNSPECIFIED
    error_kind: str = ""
    """What went wrong, as `rate_limited`; empty if nothing did."""
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int = 0
    price_version: str = ""
    """Empty if the router knew no price; accounting then works the cost out."""
    first_token_seconds: float | None = None
    """From sending the request to the first output; None if there was none."""
    duration_seconds: float = 0.0
    provider_request_id: str = ""


def total_usage(attempts: Iterable[Attempt]) -> Usage:
    """Return the sum of what *attempts* used; estimated if one of them is."""
    parts = [attempt.usage for attempt in attempts]
    return Usage(
        input_token_count=sum(each.input_token_count for each in parts),
        cached_input_token_count=sum(each.cached_input_token_count for each in parts),
        cache_write_token_count=sum(each.cache_write_token_count for each in parts),
        cache_write_1h_token_count=sum(each.cache_write_1h_token_count for each in parts),
        output_token_count=sum(each.output_token_count for each in parts),
        reasoning_token_count=sum(each.reasoning_token_count for each in parts),
        estimated=any(each.estimated for each in parts),
    )
