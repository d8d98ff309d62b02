"""What the decoders of all APIs share: frames in, events out, and the end of an answer."""

from collections.abc import Callable, Mapping
from typing import Any

from parley_services.kit.chat.answer import FinishReason
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.finish_reasons import (
    MAX_REASON_CHARACTERS,
    finish_reason_of,
    stronger,
)
from parley_services.model_router.providers.http.sse import EventStreamDecoder, parse_object
from parley_services.model_router.providers.provider import (
    PINGED,
    WROTE,
    Finished,
    ProviderEvent,
)
from parley_services.model_router.providers.reported_usage import ReportedUsage
from parley_services.model_router.providers.text_run import TextRun

UNREADABLE = (AttributeError, TypeError, KeyError, ValueError)
"""What reading an object of another shape than expected raises."""


class EventDecoder:
    """
    Turns the bytes of one answer into events.

    A subclass reads one JSON object of a stream (`_read`) and a whole answer (`_read_whole`).
    It hands text to `_run`, reasons to `_end_with`, counts to `_report`, and says
    `_wrote = True` for what it keeps back.
    """

    def __init__(self, finish_reasons: Mapping[str, FinishReason] | None = None) -> None:
        """Know the operator's words for reasons besides those that all know."""
        self.usage: ReportedUsage | None = None
        """What the provider has said so far."""
        self.response_id = ""
        self.failure: ProviderError | None = None
        """What broke the stream behind the events that were returned last."""
        self._frames = EventStreamDecoder()
        self._run = TextRun()
        self._more_reasons = finish_reasons or {}
        self._reason = FinishReason.UNSPECIFIED
        self._reason_word = ""
        self._wrote = False
        self._done = False

    @property
    def unfinished(self) -> str:
        """Arguments of calls that are not whole yet."""
        return ""

    @property
    def has_ended(self) -> bool:
        """Whether the provider has said why the answer ended: what is still to come is its
        usage and the end of the stream."""
        return self._reason is not FinishReason.UNSPECIFIED

    def feed(self, chunk: bytes) -> list[ProviderEvent]:
        """
        Return the events that *chunk* completes, at least `Alive`.

        Raises ProviderError; where events came before what is wrong, `failure` has it instead.
        """
        events = self._decode(self._frames.feed, chunk)
        if events:
            return events
        wrote, self._wrote = self._wrote, False
        return [WROTE if wrote else PINGED]

    def finish(self) -> list[ProviderEvent]:
        """Return the last events, when the connection ended. Raises ProviderError."""
        events = self._decode(self._frames.finish)
        if self._done or self.failure is not None:
            return events
        if self.has_ended:
            return [*events, *self.end()]
        self.failure = ProviderError(FailureKind.CUT)
        if not events:
            raise self.failure
        return events

    def end(self) -> list[ProviderEvent]:
        """Return the last events of an answer that `has_ended`, whatever else may come."""
        self._finish()
        return self._run.take()

    def whole(self, body: bytes) -> list[ProviderEvent]:
        """Return the events of an answer that came in one piece. Raises ProviderError."""
        document = self._parse(body)
        try:
            self._read_whole(document)
        except UNREADABLE:
            raise ProviderError(FailureKind.MALFORMED) from None
        if not self.has_ended:
            raise ProviderError(FailureKind.MALFORMED)
        return self.end()

    def _decode(self, frames_of: Callable[..., list[bytes]], *chunk: bytes) -> list[ProviderEvent]:
        had_ended = self.has_ended
        try:
            for data in frames_of(*chunk):
                had_ended = self.has_ended
                self._take_frame(data)
        except ProviderError as error:
            if had_ended:
                return self.end()  # Nothing takes back an answer that is whole.
            self.failure = error
            if events := self._run.take():
                return events
            raise
        return self._run.take()

    def _take_frame(self, data: bytes) -> None:
        if self._done or not data.strip():
            return
        if not data.startswith(b"[DONE]"):
            self._read_frame(data)
        elif self.has_ended:
            self._finish()
        elif self._ends_with_reason:
            raise ProviderError(FailureKind.CUT)

    _ends_with_reason = True
    """Whether `[DONE]` without a reason before it means that the answer was cut."""

    def _read_frame(self, data: bytes) -> None:
        event = self._parse(data)
        try:
            self._read(event)
        except UNREADABLE:
            raise ProviderError(FailureKind.MALFORMED) from None

    def _parse(self, data: bytes) -> dict[str, Any]:
        document, is_strict = parse_object(data)
        if not is_strict:
            self._run.may_have_halves = True
        return document

    def _read(self, event: dict[str, Any]) -> None:
        """Take what one object of the stream says."""
        raise NotImplementedError

    def _read_whole(self, document: dict[str, Any]) -> None:
        """Take what an answer in one piece says."""
        raise NotImplementedError

    def _end_with(self, word: str) -> None:
        """Take the provider's word for why the answer ended; of several the strongest counts."""
        reason = finish_reason_of(word, self._more_reasons)
        if stronger(self._reason, reason) is reason:
            self._reason, self._reason_word = reason, word[:MAX_REASON_CHARACTERS]

    def _finish(self) -> None:
        """Add the last event."""
        self._done = True
        self._run.add(Finished(self._final_reason(), self._reason_word))

    def _final_reason(self) -> FinishReason:
        return self._reason

    def _report(self, usage: ReportedUsage) -> None:
        """Take counts; those that come with or after the reason are the final ones."""
        self.usage = usage if self.usage is None else self.usage.then(usage)
