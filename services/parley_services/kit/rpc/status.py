"""
Turns a ServiceError into a gRPC status with details, and such a status back into the error.

The details follow https://google.aip.dev/193: an ErrorInfo always, and beside it what
the kind of error calls for: BadRequest, QuotaFailure, ResourceInfo, RetryInfo.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Never, cast

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from parley_services.kit import errors
from parley_services.kit.errors import FieldViolation, ServiceError

DOMAIN: Final = "parley"

CODES: Final[dict[type[ServiceError], grpc.StatusCode]] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InputTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    errors.KeyMissing: grpc.StatusCode.UNAUTHENTICATED,
    errors.KeyInvalid: grpc.StatusCode.UNAUTHENTICATED,
    errors.ScopeMissing: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.GuardrailBlocked: grpc.StatusCode.FAILED_PRECONDITION,
    errors.StateForbids: grpc.StatusCode.FAILED_PRECONDITION,
    errors.PriceUnknown: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ProviderRefused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.BudgetExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ConcurrencyLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.SlowReader: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ProviderUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DependencyUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.AnswerMalformed: grpc.StatusCode.ABORTED,
}
"""Every error class with its code. Tests hold it complete."""

RETRY_AFTER_SECONDS: Final[dict[type[ServiceError], float]] = {
    errors.RateLimited: 1.0,
    errors.ConcurrencyLimited: 1.0,
    errors.Overloaded: 1.0,
    errors.ProviderUnavailable: 1.0,
    errors.DependencyUnavailable: 1.0,
}
"""What RetryInfo says for an error that names no delay of its own. An error that is in
neither place carries no RetryInfo: trying again would not help, or not soon."""

MAX_MESSAGE_BYTES: Final = 512
MAX_DETAILS_BYTES: Final = 4000
"""Bounds of the status message and of the serialised details. A peer drops trailers of
over 8 KiB at random; the message grows threefold by percent-encoding and the details by
a third in base64, so that both together stay under 7 KiB."""

_MAX_VALUE_BYTES = 256
_MAX_METADATA_BYTES = 2000

_CLASSES = {error.reason: error for error in CODES}


@dataclass(frozen=True, slots=True, kw_only=True)
class RichStatus:
    """A status as it goes into `context.abort`."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def code_of(error: ServiceError) -> grpc.StatusCode:
    """Return the code of *error*; a subclass of one in the table has the same."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def status_of(error: ServiceError) -> RichStatus:
    """Return the status of *error*, shortened where it would not fit the trailers."""
    code = code_of(error)
    message = shorten(error.message, MAX_MESSAGE_BYTES)
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message)
    for detail in _details(error, message):
        status.details.append(_packed(detail))
    _add_bad_request(status, error)
    trailers: tuple[tuple[str, str | bytes], ...] = rpc_status.to_status(status).trailing_metadata
    if code is grpc.StatusCode.UNAVAILABLE:
        # The service has tried what it could. Only a connection that broke is worth the
        # client's own retries: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
        trailers = (*trailers, ("grpc-retry-pushback-ms", "-1"))
    return RichStatus(code=code, message=message, trailing_metadata=trailers)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: ServiceError) -> Never:
    """End the RPC with the status of *error*. Always raises `grpc.aio.AbortError`."""
    status = status_of(error)
    await context.abort(status.code, status.message, status.trailing_metadata)


def service_error_of(error: grpc.aio.AioRpcError) -> ServiceError | None:
    """
    Return the error that a peer's service raised, so that it can be raised again here.

    None if *error* does not come from a service of Parley or says nothing that this
    version knows: the connection broke, the deadline passed, the peer crashed. Also None
    for a refusal that crosses a request of a client stream on its way over TCP, which
    grpc.aio may report as INTERNAL "Internal error from Core"; a client that must know
    the reason waits for the answer to one request before it sends the next.
    """
    try:
        status = rpc_status.from_call(cast(grpc.Call, error))
        if status is None:
            return None
        return _rebuild(status)
    except (ValueError, DecodeError, KeyError):
        # Details that contradict their status, or cannot be read, say nothing.
        return None


def shorten(text: str, limit_bytes: int) -> str:
    """Return *text* in at most *limit_bytes* of UTF-8, ending in "..." if it was cut."""
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text
    return encoded[: limit_bytes - 3].decode(errors="ignore") + "..."


def _details(error: ServiceError, message: str) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata=_bounded(error.metadata)
    )
    delay_seconds = error.retry_after_seconds
    if delay_seconds is None:
        delay_seconds = RETRY_AFTER_SECONDS.get(type(error))
    if delay_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(max(0, round(delay_seconds * 1e9)))
        yield error_details_pb2.RetryInfo(retry_delay=delay)
    match error:
        case errors.NotFound() | errors.AlreadyExists():
            yield error_details_pb2.ResourceInfo(
                resource_type=shorten(error.metadata["resource_type"], _MAX_VALUE_BYTES),
                resource_name=shorten(error.metadata["resource_name"], _MAX_VALUE_BYTES),
                description=message,
            )
        case errors.BudgetExhausted():
            violation = error_details_pb2.QuotaFailure.Violation(
                subject=shorten(error.metadata.get("subject", ""), _MAX_VALUE_BYTES),
                description=message,
            )
            yield error_details_pb2.QuotaFailure(violations=[violation])


def _bounded(metadata: dict[str, str]) -> dict[str, str]:
    bounded: dict[str, str] = {}
    size = 0
    for key, value in metadata.items():
        short = shorten(value, _MAX_VALUE_BYTES)
        size += len(key) + len(short.encode())
        if size > _MAX_METADATA_BYTES:
            break
        bounded[key] = short
    return bounded


def _add_bad_request(status: status_pb2.Status, error: ServiceError) -> None:
    if not isinstance(error, errors.InvalidArgument) or not error.violations:
        return
    bad_request = error_details_pb2.BadRequest()
    room = MAX_DETAILS_BYTES - status.ByteSize() - 64
    for violation in error.violations:
        one = bad_request.field_violations.add(
            field=shorten(violation.field, _MAX_VALUE_BYTES),
            description=shorten(violation.description, _MAX_VALUE_BYTES),
        )
        room -= one.ByteSize() + 4
        if room < 0:
            del bad_request.field_violations[-1]
            break
    status.details.append(_packed(bad_request))


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _rebuild(status: status_pb2.Status) -> ServiceError | None:
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    bad_request = error_details_pb2.BadRequest()
    retry_after_seconds = None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
        if detail.Unpack(retry):
            retry_after_seconds = retry.retry_delay.ToNanoseconds() / 1e9
    kind = _CLASSES.get(info.reason)
    if kind is None or info.domain != DOMAIN:
        return None
    metadata = dict(info.metadata)
    if issubclass(kind, errors.NotFound | errors.AlreadyExists):
        return kind(
            status.message,
            resource_type=metadata["resource_type"],
            resource_name=metadata["resource_name"],
        )
    if issubclass(kind, errors.InvalidArgument):
        return kind(
            status.message,
            violations=[
                FieldViolation(field=each.field, description=each.description)
                for each in bad_request.field_violations
            ],
            metadata=metadata,
            retry_after_seconds=retry_after_seconds,
        )
    return kind(status.message, metadata=metadata, retry_after_seconds=retry_after_seconds)
