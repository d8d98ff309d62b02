"""How often a stream moves, so that many streams stay cheap and a few stay smooth."""

from collections.abc import Iterator
from contextlib import contextmanager

MIN_WINDOW_SECONDS = 0.005
"""What a stream gathers on an idle system. Models that people wait for write a token every 10
to 50 ms, so each leaves at once; what comes in a burst leaves in one message."""

FREE_STREAMS = 8
"""Up to so many streams the window stays that short."""

SECONDS_PER_STREAM = 0.0004
"""What each further stream adds to the window: a message costs about 0.2 ms of CPU on a small
core from the provider's socket to the client's, and this keeps them to half of one core."""

MAX_WINDOW_SECONDS = 0.15
"""A person does not notice a gap of 0.2 s; this leaves room for a busy loop."""


class Pacer:
    """Knows how many streams there are and tells each how long to gather text."""

    def __init__(self) -> None:
        self._stream_count = 0
        self.window_seconds = MIN_WINDOW_SECONDS
        """How long a stream should gather text after it has moved."""

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream while the context lasts."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._stream_count += change
        excess = max(0, self._stream_count - FREE_STREAMS)
        self.window_seconds = min(
            MAX_WINDOW_SECONDS, MIN_WINDOW_SECONDS + excess * SECONDS_PER_STREAM
        )
