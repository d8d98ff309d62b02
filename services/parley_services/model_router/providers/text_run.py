"""Joins adjacent pieces of text while a batch of events is put together."""

from parley_services.model_router.providers.provider import ProviderEvent, ReasoningDelta, TextDelta
from parley_services.model_router.providers.surrogates import mend_surrogates, split_half


class TextRun:
    """Collects events; text after text and reasoning after reasoning become one."""

    __slots__ = ("_events", "_half", "_is_reasoning", "_pieces", "may_have_halves")

    def __init__(self) -> None:
        self._events: list[ProviderEvent] = []
        self._pieces: list[str] = []
        self._is_reasoning = False
        self._half = ""
        self.may_have_halves = False
        """Whether a character may come in two halves, each in a frame of its own."""

    def text(self, piece: str) -> None:
        """Add text of the answer."""
        if self._is_reasoning:
            self._close()
            self._is_reasoning = False
        self._pieces.append(piece)

    def reasoning(self, piece: str) -> None:
        """Add text of the reasoning."""
        if not self._is_reasoning:
            self._close()
            self._is_reasoning = True
        self._pieces.append(piece)

    def add(self, event: ProviderEvent) -> None:
        """Add an event that is not text."""
        self._close()
        self._events.append(event)

    def take(self) -> list[ProviderEvent]:
        """Return what was collected, and begin again. Half a character waits for its other."""
        self._close(is_batch_end=True)
        events, self._events = self._events, []
        return events

    def _close(self, *, is_batch_end: bool = False) -> None:
        if not self._pieces and (is_batch_end or not self._half):
            return
        text = self._pieces[0] if len(self._pieces) == 1 else "".join(self._pieces)
        self._pieces.clear()
        if self.may_have_halves:
            text, self._half = self._half + text, ""
            if is_batch_end:
                text, self._half = split_half(text)
            text = mend_surrogates(text)
        if text:
            self._events.append(ReasoningDelta(text) if self._is_reasoning else TextDelta(text))
