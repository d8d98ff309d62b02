"""Reads streams of Anthropic's Messages API."""

from collections.abc import Mapping
from typing import Any, Final

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.usage import Usage
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.http.sse import EventStreamDecoder, parse_object
from parley_services.model_router.providers.provider import Finished, ProviderEvent
from parley_services.model_router.providers.refusals import failure_of_body
from parley_services.model_router.providers.text_run import TextRun
from parley_services.model_router.providers.tool_fragments import ToolFragments

STOP_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALL,
    "refusal": FinishReason.REFUSAL,
}
"""https://docs.anthropic.com/en/api/handling-stop-reasons; an unknown one means that the
model was done."""


class MessagesDecoder:
    """Turns the bytes of one stream into events."""

    def __init__(self) -> None:
        self.response_id = ""
        self._frames = EventStreamDecoder()
        self._run = TextRun()
        self._calls: dict[int, ToolFragments] = {}
        self._incomplete_call = False
        self._usage: dict[str, Any] = {}
        self._finish: FinishReason | None = None
        self._done = False

    @property
    def usage(self) -> Usage | None:
        """What the provider has said so far."""
        return usage_of(self._usage) if self._usage else None

    def feed(self, chunk: bytes) -> list[ProviderEvent]:
        """Return the events that *chunk* completes. Raises ProviderError."""
        return self._decode(self._frames.feed(chunk))

    def finish(self) -> list[ProviderEvent]:
        """Return the last events, when the connection ended. Raises ProviderError."""
        events = self._decode(self._frames.finish())
        if not self._done:
            raise ProviderError(FailureKind.CUT)
        return events

    def whole(self, body: bytes) -> list[ProviderEvent]:
        """Return the events of an answer that came in one piece. Raises ProviderError."""
        message = parse_object(body)
        try:
            self._start(message)
            for index, block in enumerate(message.get("content") or ()):
                self._open_block(index, block)
                self._close_block(index)
            self._delta_of_message({"delta": message})
        except (AttributeError, TypeError, KeyError, ValueError):
            raise ProviderError(FailureKind.MALFORMED) from None
        return [*self._run.take(), self._finished()]

    def _decode(self, frames: list[bytes]) -> list[ProviderEvent]:
        for data in frames:
            if self._done:
                break
            event = parse_object(data)
            try:
                self._event(event)
            except (AttributeError, TypeError, KeyError, ValueError):
                raise ProviderError(FailureKind.MALFORMED) from None
        return self._run.take()

    def _event(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._delta_of_block(event["index"], event["delta"])
        elif kind == "content_block_start":
            self._open_block(event["index"], event["content_block"])
        elif kind == "content_block_stop":
            self._close_block(event["index"])
        elif kind == "message_start":
            self._start(event["message"])
        elif kind == "message_delta":
            self._delta_of_message(event)
        elif kind == "message_stop":
            self._run.add(self._finished())
        elif kind == "error":
            raise ProviderError(failure_of_body(None, event.get("error")))
        # `ping`, and kinds to come: https://docs.anthropic.com/en/api/versioning

    def _start(self, message: dict[str, Any]) -> None:
        self.response_id = message.get("id") or ""
        self._usage.update(message.get("usage") or {})

    def _open_block(self, index: int, block: dict[str, Any]) -> None:
        kind = block.get("type")
        if kind == "tool_use":
            given = block.get("input")
            call = ToolFragments(id=block["id"], name=block["name"])
            call.add(given or None)
            self._calls[index] = call
        elif kind == "text":
            self._run.text(block.get("text") or "")
        elif kind == "thinking":
            self._run.reasoning(block.get("thinking") or "")

    def _delta_of_block(self, index: int, delta: dict[str, Any]) -> None:
        kind = delta.get("type")
        if kind == "text_delta":
            self._run.text(delta["text"])
        elif kind == "input_json_delta":
            if index in self._calls:
                self._calls[index].add(delta["partial_json"])
        elif kind == "thinking_delta":
            self._run.reasoning(delta["thinking"])

    def _close_block(self, index: int) -> None:
        if index not in self._calls:
            return
        done = self._calls.pop(index).join()
        if done is None:
            self._incomplete_call = True
        else:
            self._run.add(done)

    def _delta_of_message(self, event: dict[str, Any]) -> None:
        # The counts of message_delta are totals, not additions.
        given = event.get("usage") or {}
        self._usage.update({key: value for key, value in given.items() if value is not None})
        if reason := event["delta"].get("stop_reason"):
            self._finish = STOP_REASONS.get(reason, FinishReason.STOP)
            if self._incomplete_call and self._finish is not FinishReason.LENGTH:
                raise ValueError("arguments that are no JSON")

    def _finished(self) -> Finished:
        if self._finish is FinishReason.LENGTH:
            self._calls.clear()  # The limit may end a call without closing it.
        if self._finish is None or self._calls:
            raise ProviderError(FailureKind.CUT)
        self._done = True
        return Finished(self._finish)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Return Anthropic's usage as ours: its `input_tokens` leave cached ones out."""
    cached = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    details = usage.get("output_tokens_details") or {}
    return Usage(
        input_token_count=(usage.get("input_tokens") or 0) + cached + written,
        cached_input_token_count=cached,
        cache_write_token_count=written,
        output_token_count=usage.get("output_tokens") or 0,
        reasoning_token_count=details.get("thinking_tokens") or 0,
    )
