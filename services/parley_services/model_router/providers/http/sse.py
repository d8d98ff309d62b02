"""Server-sent events from bytes, however the network cut them."""

import json
from typing import Any, Final

import orjson

from parley_services.model_router.attempt.failures import FailureKind, ProviderError

MAX_FRAME_BYTES: Final = 1024 * 1024
"""A frame that does not end before this many bytes is malformed. Ten times the largest
that providers send: one with a whole tool call in it."""

_BOM = b"\xef\xbb\xbf"


class EventStreamDecoder:
    """
    Returns the data of each event as it becomes complete.

    Follows https://html.spec.whatwg.org/multipage/server-sent-events.html; names and ids
    of events are dropped, since providers repeat the name in the data. Lines are split as
    bytes: neither end of line occurs inside a UTF-8 sequence.
    """

    __slots__ = ("_rest", "_started")

    def __init__(self) -> None:
        self._rest = b""
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that *chunk* completes. Raises ProviderError."""
        buffer = self._rest + chunk if self._rest else chunk
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._rest = buffer
                return []
            self._started = True
            buffer = buffer.removeprefix(_BOM)
        if b"\r" in buffer:
            # A lone CR at the end may be half of a CRLF.
            half = buffer.endswith(b"\r")
            buffer = buffer[:-1] if half else buffer
            buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            tail = b"\r" if half else b""
        else:
            tail = b""
        end = buffer.rfind(b"\n\n")
        if end < 0:
            self._rest = buffer + tail
            if len(self._rest) > MAX_FRAME_BYTES:
                raise ProviderError(FailureKind.MALFORMED)
            return []
        self._rest = buffer[end + 2 :] + tail
        return [data for frame in buffer[:end].split(b"\n\n") if (data := _data(frame)) is not None]

    def finish(self) -> list[bytes]:
        """Return the data of an event that the end of the stream left without its empty line."""
        if not self._rest.strip():
            return []
        return self.feed(b"\n\n")


def _data(frame: bytes) -> bytes | None:
    if frame.startswith(b"data: ") and b"\n" not in frame:
        return frame[6:]
    lines = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in frame.split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines) if lines else None


def parse_object(data: bytes) -> tuple[dict[str, Any], bool]:
    """
    Return the JSON object in *data*, and whether it is JSON by the letter.

    What is not may still be of use: Python's own reader takes halves of surrogate pairs and
    numbers that are not finite, as some servers write them. Raises ProviderError if there is
    no object.
    """
    is_strict = True
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        is_strict = False
        try:
            value = json.loads(data.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise ProviderError(FailureKind.MALFORMED) from None
    if not isinstance(value, dict):
        raise ProviderError(FailureKind.MALFORMED)
    return value, is_strict
