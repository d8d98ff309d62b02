"""How long a stream may go on without what shows that it lives."""

from collections.abc import Sequence
from dataclasses import dataclass

from parley_services.model_router.attempt.failures import FailureKind
from parley_services.model_router.providers.provider import Alive, ProviderEvent, ReasoningDelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a provider may take."""

    first_token_seconds: float
    """From sending the request to the first output."""
    stall_seconds: float
    """Without a single byte, once the answer began."""
    keep_alive_seconds: float = 60.0
    """With nothing but comments and pings: a server that is busy sends them, and one that has
    lost the answer may go on for ever."""
    reasoning_seconds: float = 300.0
    """With nothing but reasoning."""
    arguments_seconds: float = 300.0
    """With nothing but arguments of tool calls."""


class LifeSigns:
    """
    What has come of one stream, and until when the next must have come.

    Any byte is a sign of life; each kind of output that the client does not see yet has a
    limit of its own besides.
    """

    def __init__(self, limits: Limits, *, sent_at: float) -> None:
        """Begin when the request was *sent_at*, on the monotonic clock."""
        self._limits = limits
        self._sent_at = sent_at
        self._byte_at = sent_at
        self._output_at = sent_at
        self._reasoning_since: float | None = None
        self._arguments_since: float | None = None
        self.has_begun = False
        """Whether there was output."""

    def saw(self, events: Sequence[ProviderEvent], *, now: float) -> None:
        """Take in what came at *now*."""
        self._byte_at = now
        last = events[-1]
        if isinstance(last, Alive) and not last.wrote:
            return
        self._output_at = now
        self.has_begun = True
        if isinstance(last, ReasoningDelta):
            self._reasoning_since = now if self._reasoning_since is None else self._reasoning_since
            self._arguments_since = None
        elif isinstance(last, Alive):
            self._arguments_since = now if self._arguments_since is None else self._arguments_since
            self._reasoning_since = None
        else:
            self._reasoning_since = self._arguments_since = None

    @property
    def too_slow(self) -> FailureKind:
        """What it is when the next sign does not come in time."""
        return FailureKind.STALLED if self.has_begun else FailureKind.FIRST_TOKEN_TIMEOUT

    def due(self) -> float:
        """Return until when the next sign must have come, on the monotonic clock."""
        limits = self._limits
        due = self._byte_at + limits.stall_seconds
        if not self.has_begun:
            due = max(due, self._sent_at + limits.first_token_seconds)
            if self._byte_at == self._sent_at:
                due = self._sent_at + limits.first_token_seconds
        if self._byte_at > self._output_at:
            due = min(due, self._output_at + max(limits.keep_alive_seconds, limits.stall_seconds))
        if self._reasoning_since is not None:
            due = min(due, self._reasoning_since + limits.reasoning_seconds)
        if self._arguments_since is not None:
            due = min(due, self._arguments_since + limits.arguments_seconds)
        return due
