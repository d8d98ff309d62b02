"""The one error of the client."""

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


class ParleyError(Exception):
    """
    A call that failed. The text says what happened and what to do.

    *code* is the gRPC status, *reason* the name of a `parley.errors.v1.ErrorReason` (empty if
    the failure has none), *metadata* what belongs to it, *violations* the wrong fields of the
    request with what is wrong, *retry_after_seconds* how long to wait, if trying again helps.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        violations: dict[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata = metadata or {}
        self.violations = violations or {}
        self.retry_after_seconds = retry_after_seconds

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "ParleyError":
        """Return *error* with its details unpacked."""
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        retry_after_seconds = None
        try:
            status = rpc_status.from_call(error)
        except ValueError:
            status = None
        for detail in status.details if status is not None else ():
            detail.Unpack(info)
            detail.Unpack(bad_request)
            if detail.Unpack(retry):
                retry_after_seconds = retry.retry_delay.ToNanoseconds() / 1e9
        return cls(
            error.details() or error.code().name,
            code=error.code(),
            reason=info.reason,
            metadata=dict(info.metadata),
            violations={each.field: each.description for each in bad_request.field_violations},
            retry_after_seconds=retry_after_seconds,
        )
