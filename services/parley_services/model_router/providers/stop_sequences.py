"""Ends an answer at a stop sequence where the provider cannot."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from parley_services.kit.chat.answer import FinishReason
from parley_services.model_router.providers.provider import (
    WROTE,
    Alive,
    Finished,
    ProviderEvent,
    ProviderStream,
    TextDelta,
)
from parley_services.model_router.providers.reported_usage import ReportedUsage


class StopScanner:
    """
    Lets text through up to the first stop sequence: the one that is complete first.

    Text is held back while it may still become part of one, and no longer, so that the
    result is the same however the text is cut.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Look for *stops*, none of them empty."""
        self._stops = stops
        self._longest = max(map(len, stops))
        self._held = ""
        self.found = False
        """Whether a stop sequence came; nothing is let through from then on."""

    def feed(self, text: str) -> str:
        """Return what of all text so far is certainly before a stop and was not returned yet."""
        if self.found:
            return ""
        self._held += text
        found = [
            (start + len(stop), start)
            for stop in self._stops
            if (start := self._held.find(stop)) >= 0
        ]
        if found:
            self.found = True
            _, start = min(found)
            kept, self._held = self._held[:start], ""
            return kept
        cut = len(self._held) - self._length_that_may_grow()
        kept, self._held = self._held[:cut], self._held[cut:]
        return kept

    @property
    def held(self) -> str:
        """The text that may still become part of a stop sequence."""
        return self._held

    def flush(self) -> str:
        """Return what was held back, when no more text comes to it."""
        kept, self._held = self._held, ""
        return kept

    def _length_that_may_grow(self) -> int:
        for length in range(min(self._longest - 1, len(self._held)), 0, -1):
            end = self._held[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0


class StoppingStream:
    """
    A `ProviderStream` that ends at the first of some stop sequences.

    The rest of the provider's answer is not read: its connection is closed, and its usage
    never comes.
    """

    def __init__(self, stream: ProviderStream, stops: Sequence[str]) -> None:
        self._stream = stream
        self._scanner = StopScanner(stops)

    @property
    def usage(self) -> ReportedUsage | None:
        reported = self._stream.usage
        if reported is not None and self._scanner.found:
            # The rest of the answer, and with it the count of it, does not come any more.
            return replace(reported, is_final=False)
        return reported

    @property
    def unfinished(self) -> str:
        return self._stream.unfinished + self._scanner.held

    @property
    def provider_request_id(self) -> str:
        return self._stream.provider_request_id

    async def read(self) -> Sequence[ProviderEvent]:
        return list(self._before_stop(await self._stream.read())) or [WROTE]

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _before_stop(self, events: Sequence[ProviderEvent]) -> Iterator[ProviderEvent]:
        for event in events:
            if isinstance(event, TextDelta):
                if text := self._scanner.feed(event.text):
                    yield TextDelta(text)
                if self._scanner.found:
                    yield Finished(FinishReason.STOP)
                    return
                continue
            if not isinstance(event, Alive) and (text := self._scanner.flush()):
                yield TextDelta(text)
            yield event


def stopping(stream: ProviderStream, stops: Sequence[str]) -> ProviderStream:
    """Return *stream*, ended at the first of *stops* if there are any."""
    return StoppingStream(stream, stops) if stops else stream
