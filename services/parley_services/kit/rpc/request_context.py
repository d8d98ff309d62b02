"""
What accompanies a request through the services: its id, its tenant and its place in a trace.

Each call to a peer carries it as metadata, and `kit.log` puts it into every line that is logged
meanwhile, so that the lines of one turn are found by its id in the logs of all processes.
"""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, unquote

REQUEST_ID_KEY: Final = "x-request-id"
TENANT_ID_KEY: Final = "x-parley-tenant-id"
"""Percent-encoded. Believed of services only, never of an application."""
TRACEPARENT_KEY: Final = "traceparent"

MAX_REQUEST_ID_CHARACTERS: Final = 128

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""https://www.w3.org/TR/trace-context/#traceparent-header"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """The request that the running task serves."""

    request_id: str = ""
    """The caller's id of the request: 0 to 128 printable ASCII characters."""

    traceparent: str = ""
    """The W3C trace context of the caller, empty if it is not traced."""

    tenant_id: str = ""
    """The tenant, once its key is authenticated."""

    metadata: tuple[tuple[str, str], ...] = field(init=False, repr=False)
    """What a call to a peer carries of this, built once."""

    def __post_init__(self) -> None:
        pairs: tuple[tuple[str, str], ...] = ()
        if self.request_id:
            pairs = ((REQUEST_ID_KEY, self.request_id),)
        if self.traceparent:
            pairs += ((TRACEPARENT_KEY, self.traceparent),)
        if self.tenant_id:
            pairs += ((TENANT_ID_KEY, quote(self.tenant_id)),)
        object.__setattr__(self, "metadata", pairs)

    @property
    def trace_id(self) -> str:
        """The id of the trace in `traceparent`, empty if it is not traced."""
        return self.traceparent[3:35]


NO_REQUEST: Final = RequestContext()

_current: ContextVar[RequestContext] = ContextVar("parley_request", default=NO_REQUEST)


def current() -> RequestContext:
    """Return the context of the request that this task serves, empty outside of one."""
    return _current.get()


def enter(context: RequestContext) -> None:
    """Make *context* the current one, for this task and those it starts."""
    _current.set(context)


def bind(*, request_id: str = "", tenant_id: str = "") -> None:
    """Add what has become known to the current context, in place of what it said before."""
    before = _current.get()
    after = replace(
        before,
        request_id=request_id or before.request_id,
        tenant_id=tenant_id or before.tenant_id,
    )
    if after != before:
        _current.set(after)


def from_metadata(
    metadata: Iterable[tuple[str, str | bytes]] | None, *, of_a_service: bool = True
) -> RequestContext:
    """
    Return what *metadata* says of the request; malformed entries count as absent.

    What an application says of its tenant is not believed: *of_a_service* is false then.
    """
    request_id = traceparent = tenant_id = ""
    for key, value in metadata or ():
        if key == REQUEST_ID_KEY and _is_request_id(value):
            request_id = str(value)
        elif key == TRACEPARENT_KEY and _TRACEPARENT.fullmatch(str(value)):
            traceparent = str(value)
        elif key == TENANT_ID_KEY and of_a_service:
            tenant_id = unquote(str(value))
    if not (request_id or traceparent or tenant_id):
        return NO_REQUEST
    return RequestContext(request_id=request_id, traceparent=traceparent, tenant_id=tenant_id)


def _is_request_id(value: str | bytes) -> bool:
    # It goes into log lines and to peers, so a caller may not choose just anything.
    return (
        isinstance(value, str)
        and len(value) <= MAX_REQUEST_ID_CHARACTERS
        and value.isascii()
        and value.isprintable()
    )
