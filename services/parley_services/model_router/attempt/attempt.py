"""One call to a provider, and what it used and cost."""

from dataclasses import dataclass
from enum import StrEnum

from parley_services.kit.chat.usage import Usage


class AttemptKind(StrEnum):
    """What an attempt is for."""

    PRIMARY = "primary"
    RETRY = "retry"
    FALLBACK = "fallback"
    HEDGE = "hedge"
    CONTINUATION = "continuation"
    REPAIR = "repair"
    SHADOW = "shadow"


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """With an error before any output."""
    CUT = "cut"
    """With an error after some output."""
    CANCELLED = "cancelled"
    """By the client's cancel or deadline, or since another attempt won."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to a provider that ended."""

    number: int
    provider: str
    model: str
    """The model, as the provider calls it."""
    kind: AttemptKind
    outcome: AttemptOutcome
    error_kind: str = ""
    """What went wrong, a value of `FailureKind`; empty if nothing did."""
    usage: Usage
    cost_nano_usd: int
    price_version: str
    first_token_seconds: float | None = None
    """From sending the request to the first output; None if there was none."""
    duration_seconds: float
    provider_request_id: str = ""
