"""
The errors that may cross a service boundary. Imports neither grpc nor protobuf.

* ServiceError
  x InvalidArgument
  x InputTooLarge
  x KeyMissing, KeyInvalid, ScopeMissing
  x NotFound, AlreadyExists, Conflict
  x GuardrailBlocked, StateForbids, PriceUnknown, ProviderRefused
  x RateLimited, BudgetExhausted, ConcurrencyLimited, Overloaded, SlowReader
  x ProviderUnavailable, DependencyUnavailable, DeadlineExceeded
  x AnswerMalformed

`parley_services.kit.rpc.status` gives each its gRPC status code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One field of a request that is wrong."""

    field: str
    """Path of the field in the request message, as `messages[0].text`."""

    description: str
    """What is wrong and what would be right, in one sentence."""


class ServiceError(Exception):
    """
    Base of the errors whose text a caller may read.

    *message* says what happened and what to do, in one sentence, and never quotes
    a prompt, an answer or a key. *metadata* goes into `google.rpc.ErrorInfo`.
    *retry_after_seconds*, if given, goes into `google.rpc.RetryInfo`.
    """

    reason: ClassVar[str]
    """The name of a value of `parley.errors.v1.ErrorReason`."""

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds


class InvalidArgument(ServiceError):
    """One or more fields are missing, malformed or out of range."""

    reason = "ERROR_REASON_INVALID_ARGUMENT"

    def __init__(
        self,
        message: str,
        *,
        violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, metadata=metadata, retry_after_seconds=retry_after_seconds)
        self.violations = tuple(violations)

    @classmethod
    def of(cls, *violations: FieldViolation) -> "InvalidArgument":
        """Return the error whose message names every field of *violations*."""
        return cls(
            " ".join(f"{each.field}: {each.description}" for each in violations),
            violations=violations,
        )

    @classmethod
    def field(cls, field: str, description: str) -> "InvalidArgument":
        """Return the error for one wrong *field*."""
        return cls.of(FieldViolation(field=field, description=description))


class InputTooLarge(ServiceError):
    """The text is longer than the limit."""

    reason = "ERROR_REASON_INPUT_TOO_LARGE"


class KeyMissing(ServiceError):
    """The call carried no API key."""

    reason = "ERROR_REASON_KEY_MISSING"


class KeyInvalid(ServiceError):
    """The API key is unknown, revoked or expired."""

    reason = "ERROR_REASON_KEY_INVALID"


class ScopeMissing(ServiceError):
    """The key may not do this."""

    reason = "ERROR_REASON_SCOPE_MISSING"


class _AboutResource(ServiceError):
    """Base of the errors that name a resource."""

    def __init__(self, message: str, *, resource_type: str, resource_name: str) -> None:
        super().__init__(
            message, metadata={"resource_type": resource_type, "resource_name": resource_name}
        )


class NotFound(_AboutResource):
    """Something that the request names does not exist."""

    reason = "ERROR_REASON_RESOURCE_NOT_FOUND"


class AlreadyExists(_AboutResource):
    """Something of that name exists already."""

    reason = "ERROR_REASON_RESOURCE_EXISTS"


class Conflict(ServiceError):
    """Somebody else changed the resource first."""

    reason = "ERROR_REASON_CONFLICT"


class GuardrailBlocked(ServiceError):
    """A guardrail refused the text."""

    reason = "ERROR_REASON_GUARDRAIL_BLOCKED"


class StateForbids(ServiceError):
    """The resource is in a state that forbids the call."""

    reason = "ERROR_REASON_STATE_FORBIDS"


class PriceUnknown(ServiceError):
    """The model has no price and no cap is set."""

    reason = "ERROR_REASON_PRICE_UNKNOWN"


class ProviderRefused(ServiceError):
    """A provider refused the request as invalid; trying again cannot help."""

    reason = "ERROR_REASON_PROVIDER_REFUSED"


class RateLimited(ServiceError):
    """Too many requests or tokens per minute."""

    reason = "ERROR_REASON_RATE_LIMITED"


class BudgetExhausted(ServiceError):
    """A hard budget is spent."""

    reason = "ERROR_REASON_BUDGET_EXHAUSTED"


class ConcurrencyLimited(ServiceError):
    """Too many requests at once."""

    reason = "ERROR_REASON_CONCURRENCY_LIMITED"


class Overloaded(ServiceError):
    """A bounded queue or pool of the service is full."""

    reason = "ERROR_REASON_OVERLOADED"


class SlowReader(ServiceError):
    """The client read its stream too slowly."""

    reason = "ERROR_REASON_SLOW_READER"


class ProviderUnavailable(ServiceError):
    """No model provider could answer."""

    reason = "ERROR_REASON_PROVIDER_UNAVAILABLE"


class DependencyUnavailable(ServiceError):
    """A service or store that the call needs is away."""

    reason = "ERROR_REASON_DEPENDENCY_UNAVAILABLE"


class DeadlineExceeded(ServiceError):
    """The time given to the call is over."""

    reason = "ERROR_REASON_DEADLINE_EXCEEDED"


class AnswerMalformed(ServiceError):
    """The answer broke the format that was asked for, also after one repair."""

    reason = "ERROR_REASON_ANSWER_MALFORMED"
