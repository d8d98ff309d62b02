"""What every service does around every RPC of ours."""

import asyncio
import functools
import hmac
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final

import grpc
import structlog
from google.protobuf.message import DecodeError

from parley_services.kit.errors import InvalidArgument, KeyInvalid, KeyMissing, ServiceError
from parley_services.kit.log import logs_debug
from parley_services.kit.rpc import request_context
from parley_services.kit.rpc.bearer import bearer
from parley_services.kit.rpc.status import abort, code_of
from parley_services.kit.rpc.validation import Validation
from parley_services.kit.rpc.wrap_handler import Around, Context, HandlerWrapper, is_ours

log = structlog.get_logger()

SERVICE_TOKEN_KEY: Final = "x-parley-service-token"
"""Metadata by which one service of Parley shows another that it is one."""

OPEN_TO_ALL: Final = "/parley.orchestrator.v1."
"""Methods that applications call; they authenticate by API key instead."""

KEYED: Final = "/parley.accounting.v1."
"""Methods that may carry an API key in place of the service token; accounting checks it."""

_NEARLY_OVER_SECONDS = 0.005


def interceptors_for_tcp(*, service_token: str = "") -> Sequence[HandlerWrapper]:
    """
    Return the server interceptors of a port, outermost first.

    With a *service_token*, calls between services must carry it as metadata; without
    one, anybody who reaches the port may call anything.
    """
    boundary = Around(functools.partial(Boundary, quiet=False))
    if not service_token:
        return [boundary, Validation()]
    check = functools.partial(ServiceTokenCheck, service_token.encode())
    return [boundary, Around(check, applies=_needs_service_token), Validation()]


def interceptors_in_process() -> Sequence[HandlerWrapper]:
    """Return the server interceptors of an in-process server, outermost first."""
    return [Around(functools.partial(Boundary, quiet=True)), Validation()]


class Boundary:
    """
    The outermost layer of an RPC: sets its request context, maps errors, logs one line.

    * ServiceError keeps its text and becomes the status of `kit.rpc.status`; so does the
      first one of an ExceptionGroup that holds no other kind.
    * A method that the servicer does not override is UNIMPLEMENTED.
    * A request that is not a valid message is INVALID_ARGUMENT.
    * A CancelledError passes if this RPC is being cancelled. One that a task inside let
      out would leave the client without a status (https://github.com/grpc/grpc/issues/29248),
      so it counts as a crash.
    * Anything else is INTERNAL "internal error", with no text of the cause.

    The line is logged when the RPC ends, with `method`, `code`, `seconds` and `reason`, and
    what `kit.log` knows of the request; never with text of a message. A crash is logged at
    error with its traceback, all else at info, but at debug if *quiet* and the RPC went well.

    Deadlines are the handler's affair: `context.time_remaining()` is None if the client
    set none.
    """

    __slots__ = ("_context", "_method", "_quiet", "_started")

    def __init__(self, method: str, context: Context, *, quiet: bool) -> None:
        self._method = method
        self._context = context
        self._quiet = quiet
        self._started = time.monotonic()

    async def __aenter__(self) -> None:
        metadata = self._context.invocation_metadata()
        of_a_service = not self._method.startswith(OPEN_TO_ALL)
        request_context.enter(request_context.from_metadata(metadata, of_a_service=of_a_service))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            # A handler may have set a code and returned.
            self._log_end(self._context.code() or grpc.StatusCode.OK)
            return
        if isinstance(error, BaseExceptionGroup):
            error = _only_service_error(error) or error
        match error:
            case ServiceError():
                await self._refuse(error)
            case grpc.aio.AbortError():
                self._log_end(self._context.code())
            case DecodeError():
                await self._refuse(
                    InvalidArgument("The request is not a valid message of this method.")
                )
            case NotImplementedError() if self._context.code() is grpc.StatusCode.UNIMPLEMENTED:
                self._log_end(grpc.StatusCode.UNIMPLEMENTED)
                await self._context.abort(
                    grpc.StatusCode.UNIMPLEMENTED,
                    f"This server does not implement {self._method}.",
                )
            case asyncio.CancelledError() if _is_being_cancelled():
                self._log_end(self._code_of_a_left_call())
            case grpc.aio.InternalError():
                # A write or read failed because the client is gone.
                self._log_end(self._code_of_a_left_call())
            case Exception() | asyncio.CancelledError():
                await self._crash(error)

    async def _refuse(self, error: ServiceError) -> None:
        self._log_end(code_of(error), error.reason)
        await abort(self._context, error)

    async def _crash(self, error: BaseException) -> None:
        log.error(
            "rpc",
            exc_info=error,
            **self._fields(grpc.StatusCode.INTERNAL),
        )
        await self._context.abort(grpc.StatusCode.INTERNAL, "internal error")

    def _log_end(self, code: grpc.StatusCode, reason: str = "") -> None:
        if self._quiet and code is grpc.StatusCode.OK:
            if logs_debug():
                log.debug("rpc", **self._fields(code))
        else:
            log.info("rpc", **self._fields(code, reason))

    def _fields(self, code: grpc.StatusCode, reason: str = "") -> dict[str, str | float]:
        return {
            "method": self._method,
            "code": getattr(code, "name", str(code)),
            "seconds": round(time.monotonic() - self._started, 6),
            "reason": reason,
        }

    def _code_of_a_left_call(self) -> grpc.StatusCode:
        # grpc.aio does not say why a call was left (https://github.com/grpc/grpc/issues/36193),
        # so ask the clock. The client's own timer may fire a moment before ours.
        left_seconds: float | None = self._context.time_remaining()
        if left_seconds is not None and left_seconds < _NEARLY_OVER_SECONDS:
            return grpc.StatusCode.DEADLINE_EXCEEDED
        return grpc.StatusCode.CANCELLED


class ServiceTokenCheck:
    """Refuses a call whose metadata does not carry *token*, nor a key where one will do."""

    __slots__ = ("_context", "_may_carry_a_key", "_token")

    def __init__(self, token: bytes, method: str, context: Context) -> None:
        self._token = token
        self._may_carry_a_key = method.startswith(KEYED)
        self._context = context

    async def __aenter__(self) -> None:
        metadata = self._context.invocation_metadata()
        given = [str(value) for key, value in metadata or () if key == SERVICE_TOKEN_KEY]
        if not given and self._may_carry_a_key and bearer(metadata) is not None:
            return
        if not given:
            raise KeyMissing(
                "The call carries no service token: set PARLEY_SERVICE_TOKEN at the caller.",
                metadata={"credential": "service_token"},
            )
        if not hmac.compare_digest(given[0].encode(), self._token):
            raise KeyInvalid(
                "The service token is wrong: set PARLEY_SERVICE_TOKEN to the same everywhere.",
                metadata={"credential": "service_token"},
            )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


def _needs_service_token(method: str) -> bool:
    return is_ours(method) and not method.startswith(OPEN_TO_ALL)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _only_service_error(group: BaseExceptionGroup[BaseException]) -> ServiceError | None:
    refusals, others = group.split(ServiceError)
    if refusals is None or others is not None:
        return None
    first: BaseException = refusals
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, ServiceError)
    return first
