"""Everything that can go wrong with a call to a provider, and what is done about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FailureKind(StrEnum):
    """What went wrong."""

    RATE_LIMITED = "rate_limited"
    """Too many requests or tokens for now (429)."""
    LIMIT_TOO_LOW = "limit_too_low"
    """This one request asks for more than the whole limit a minute: it can never pass (429)."""
    QUOTA_EXHAUSTED = "quota_exhausted"
    """The account's money or monthly quota is spent (429 or 402); waiting does not help."""
    SERVER_ERROR = "server_error"
    """The provider failed (5xx)."""
    OVERLOADED = "overloaded"
    """The provider says that it has too much to do (503, 529)."""
    CONNECT_FAILED = "connect_failed"
    """No connection, or it broke before an answer began."""
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"
    """The answer did not begin in time."""
    STALLED = "stalled"
    """The answer began, and then nothing came for too long."""
    CUT = "cut"
    """The stream ended without saying why the answer ended."""
    MALFORMED = "malformed"
    """A frame of the stream, or the answer as a whole, could not be read."""
    UNKNOWN_FINISH = "unknown_finish"
    """The answer ended without a text, for a reason that nobody knows."""
    INVALID_REQUEST = "invalid_request"
    """The provider says that the request is wrong (400, 413, 422)."""
    KEY_REFUSED = "key_refused"
    """The key is unknown, expired or revoked (401)."""
    FORBIDDEN = "forbidden"
    """The account may not use the model, or a firewall dislikes the request (403)."""
    MODEL_NOT_FOUND = "model_not_found"
    """The provider does not know the model at this address (404)."""
    CONTEXT_TOO_LONG = "context_too_long"
    """The conversation is longer than the model's context."""
    CONTENT_POLICY = "content_policy"
    """The provider refused the conversation before any answer."""
    BREAKER_OPEN = "breaker_open"
    """Our own: the route has failed too often lately. Nothing was sent."""
    BUSY = "busy"
    """Our own: the route has no place for a further call. Nothing was sent."""


class FailureAction(StrEnum):
    """What is done about a failure before any output was sent on."""

    RETRY = "retry"
    """The same route again after a pause, then the next one."""
    FALLBACK = "fallback"
    """The next route at once; the last route is asked again after a pause."""
    FALLBACK_NO_RETRY = "fallback_no_retry"
    """The next route; this one cannot succeed now, however often it is asked."""
    OTHER_KEY = "other_key"
    """The key rests: the same route with another key, then the next route."""
    LARGER_CONTEXT = "larger_context"
    """The next route whose context is larger."""
    GIVE_UP = "give_up"
    """Nothing: the request itself cannot succeed."""


FAILURE_ACTIONS: Final[dict[FailureKind, FailureAction]] = {
    FailureKind.RATE_LIMITED: FailureAction.RETRY,
    FailureKind.LIMIT_TOO_LOW: FailureAction.FALLBACK_NO_RETRY,
    FailureKind.QUOTA_EXHAUSTED: FailureAction.OTHER_KEY,
    FailureKind.SERVER_ERROR: FailureAction.RETRY,
    FailureKind.OVERLOADED: FailureAction.FALLBACK,
    FailureKind.CONNECT_FAILED: FailureAction.RETRY,
    FailureKind.CONNECT_TIMEOUT: FailureAction.FALLBACK,
    FailureKind.FIRST_TOKEN_TIMEOUT: FailureAction.FALLBACK,
    FailureKind.STALLED: FailureAction.FALLBACK,
    FailureKind.CUT: FailureAction.RETRY,
    FailureKind.MALFORMED: FailureAction.RETRY,
    FailureKind.UNKNOWN_FINISH: FailureAction.FALLBACK_NO_RETRY,
    FailureKind.INVALID_REQUEST: FailureAction.GIVE_UP,
    FailureKind.KEY_REFUSED: FailureAction.OTHER_KEY,
    FailureKind.FORBIDDEN: FailureAction.FALLBACK_NO_RETRY,
    FailureKind.MODEL_NOT_FOUND: FailureAction.FALLBACK_NO_RETRY,
    FailureKind.CONTEXT_TOO_LONG: FailureAction.LARGER_CONTEXT,
    FailureKind.CONTENT_POLICY: FailureAction.GIVE_UP,
    FailureKind.BREAKER_OPEN: FailureAction.FALLBACK_NO_RETRY,
    FailureKind.BUSY: FailureAction.FALLBACK_NO_RETRY,
}
"""The one table of what is done about what. A test holds it complete."""

ROUTE_FAULTS: Final = frozenset(
    {
        FailureKind.SERVER_ERROR,
        FailureKind.OVERLOADED,
        FailureKind.CONNECT_FAILED,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.FIRST_TOKEN_TIMEOUT,
        FailureKind.STALLED,
        FailureKind.CUT,
        FailureKind.MALFORMED,
    }
)
"""Failures that say that the route is unhealthy. Being limited or refused does not."""


BILLED_FAILURES: Final = frozenset(
    {
        FailureKind.FIRST_TOKEN_TIMEOUT,
        FailureKind.STALLED,
        FailureKind.CUT,
        FailureKind.MALFORMED,
        FailureKind.UNKNOWN_FINISH,
    }
)
"""Failures of a call that the provider had accepted: it read the input, and bills it, although
nothing of an answer came."""


KEY_FAILURES: Final = frozenset({FailureKind.KEY_REFUSED, FailureKind.QUOTA_EXHAUSTED})
"""Failures for which a key rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that went wrong."""

    kind: FailureKind
    retry_after_seconds: float | None = None
    """What the provider asked to wait, None if it did not say."""


class ProviderError(Exception):
    """
    A call to a provider failed.

    Carries the kind and never the provider's own words, which may quote the prompt.
    """

    def __init__(
        self,
        kind: FailureKind,
        *,
        retry_after_seconds: float | None = None,
        provider_request_id: str = "",
    ) -> None:
        super().__init__(kind.value)
        self.failure = Failure(kind=kind, retry_after_seconds=retry_after_seconds)
        self.provider_request_id = provider_request_id

    @property
    def kind(self) -> FailureKind:
        return self.failure.kind

    @property
    def action(self) -> FailureAction:
        """What the table says to do about it."""
        return FAILURE_ACTIONS[self.failure.kind]
