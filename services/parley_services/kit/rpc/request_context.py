"""What accompanies a request through the services: its id and its place in a trace."""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

REQUEST_ID_KEY: Final = "x-request-id"
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

    metadata: tuple[tuple[str, str], ...] = field(init=False, repr=False)
    """What a call to a peer carries of this, built once."""

    def __post_init__(self) -> None:
        pairs = ((REQUEST_ID_KEY, self.request_id), (TRACEPARENT_KEY, self.traceparent))
        object.__setattr__(self, "metadata", tuple(pair for pair in pairs if pair[1]))


NO_REQUEST: Final = RequestContext()

_current: ContextVar[RequestContext] = ContextVar("parley_request", default=NO_REQUEST)


def current() -> RequestContext:
    """Return the context of the request that this task serves, empty outside of one."""
    return _current.get()


def enter(context: RequestContext) -> None:
    """Make *context* the current one, for this task and those it starts."""
    _current.set(context)


def from_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> RequestContext:
    """Return what *metadata* says of the request; malformed entries count as absent."""
    request_id = traceparent = ""
    for key, value in metadata or ():
        if key == REQUEST_ID_KEY and _is_request_id(value):
            request_id = str(value)
        elif key == TRACEPARENT_KEY and _TRACEPARENT.fullmatch(str(value)):
            traceparent = str(value)
    if not request_id and not traceparent:
        return NO_REQUEST
    return RequestContext(request_id=request_id, traceparent=traceparent)


def _is_request_id(value: str | bytes) -> bool:
    # It goes into log lines and to peers, so a caller may not choose just anything.
    return (
        isinstance(value, str)
        and len(value) <= MAX_REQUEST_ID_CHARACTERS
        and value.isascii()
        and value.isprintable()
    )
