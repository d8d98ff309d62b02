"""Joins adjacent pieces of text while a batch of events is put together."""

from parley_services.model_router.providers.provider import ProviderEvent, ReasoningDelta, TextDelta


class TextRun:
    """Collects events; text after text and reasoning after reasoning become one."""

    __slots__ = ("_events", "_is_reasoning", "_pieces")

    def __init__(self) -> None:
        self._events: list[ProviderEvent] = []
        self._pieces: list[str] = []
        self._is_reasoning = False

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
        """Return what was collected, and begin again."""
        self._close()
        events, self._events = self._events, []
        return events

    def _close(self) -> None:
        if not self._pieces:
            return
        text = self._pieces[0] if len(self._pieces) == 1 else "".join(self._pieces)
        self._pieces.clear()
        if text:
            self._events.append(ReasoningDelta(text) if self._is_reasoning else TextDelta(text))
