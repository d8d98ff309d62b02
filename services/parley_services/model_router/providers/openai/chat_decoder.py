"""Reads streams of OpenAI's Chat Completions and of the many servers that speak it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.usage import Usage
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.http.sse import EventStreamDecoder, parse_object
from parley_services.model_router.providers.openai.logprobs import logprobs_of
from parley_services.model_router.providers.provider import Finished, ProviderEvent
from parley_services.model_router.providers.refusals import failure_of_body
from parley_services.model_router.providers.text_run import TextRun
from parley_services.model_router.providers.tool_fragments import ToolFragments

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALL,
    "function_call": FinishReason.TOOL_CALL,
    "content_filter": FinishReason.CONTENT_FILTER,
}
"""OpenAI's finish reasons, and Mistral's; an unknown one means that the model was done."""

_BROKEN_OFF: Final = frozenset({"error", "network_error", "insufficient_system_resource"})
"""Finish reasons of compatible servers that say that they failed."""


class ChatDecoder:
    """Turns the bytes of one stream into events."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.response_id = ""
        self._frames = EventStreamDecoder()
        self._run = TextRun()
        self._calls: dict[object, ToolFragments] = {}
        self._last_call: ToolFragments | None = None
        self._finish: FinishReason | None = None
        self._refused = False
        self._done = False

    def feed(self, chunk: bytes) -> list[ProviderEvent]:
        """Return the events that *chunk* completes. Raises ProviderError."""
        return self._decode(self._frames.feed(chunk))

    def finish(self) -> list[ProviderEvent]:
        """Return the last events, when the connection ended. Raises ProviderError."""
        events = self._decode(self._frames.finish())
        if not self._done:
            # Some servers close without [DONE]; a finish reason is what tells a whole
            # answer from a cut one.
            if self._finish is None:
                raise ProviderError(FailureKind.CUT)
            events.append(self._finished())
        return events

    def whole(self, body: bytes) -> list[ProviderEvent]:
        """Return the events of an answer that came in one piece. Raises ProviderError."""
        self._frame(body, message_field="message")
        if self._finish is None:
            raise ProviderError(FailureKind.MALFORMED)
        return [*self._run.take(), self._finished()]

    def _decode(self, frames: list[bytes]) -> list[ProviderEvent]:
        for data in frames:
            if self._done:
                break
            if data.startswith(b"[DONE]"):
                if self._finish is None:
                    raise ProviderError(FailureKind.CUT)
                return [*self._run.take(), self._finished()]
            if data:
                self._frame(data)
        return self._run.take()

    def _frame(self, data: bytes, message_field: str = "delta") -> None:
        chunk = parse_object(data)
        try:
            if error := chunk.get("error"):
                raise ProviderError(failure_of_body(None, error))
            if usage := chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage"):
                self.usage = usage_of(usage)
            if not self.response_id:
                self.response_id = chunk.get("id") or ""
            for choice in chunk.get("choices") or ():
                if choice.get("index"):
                    continue  # Only one answer was asked for.
                if message := choice.get(message_field):
                    self._message(message)
                if logprobs := choice.get("logprobs"):
                    self._logprobs(logprobs)
                if reason := choice.get("finish_reason"):
                    self._finish_with(reason)
        except (AttributeError, TypeError, KeyError, ValueError):
            raise ProviderError(FailureKind.MALFORMED) from None

    def _message(self, message: dict[str, Any]) -> None:
        content = message.get("content")
        if content:
            if isinstance(content, str):
                self._run.text(content)
            else:
                for text, is_reasoning in _parts(content):
                    (self._run.reasoning if is_reasoning else self._run.text)(text)
            if len(message) == 1:
                return  # Nearly all deltas are this.
        # DeepSeek, vLLM and Groq name it each in their own way.
        if reasoning := message.get("reasoning_content") or message.get("reasoning"):
            self._run.reasoning(reasoning)
        if refusal := message.get("refusal"):
            self._refused = True
            self._run.text(refusal)
        for call in message.get("tool_calls") or ():
            self._tool_call(call)

    def _logprobs(self, logprobs: dict[str, Any]) -> None:
        if tokens := logprobs.get("content"):
            self._run.add(logprobs_of(tokens))

    def _tool_call(self, fragment: dict[str, Any]) -> None:
        function = fragment.get("function") or {}
        name = function.get("name") or ""
        key = fragment.get("index")
        if key is None:
            # Without an index a fragment that has an id or a name opens a call.
            key = fragment.get("id") or (len(self._calls) if name else None)
        if key is not None:
            self._last_call = self._calls.setdefault(key, ToolFragments())
        call = self._last_call
        if call is None:
            raise ValueError("a fragment of no call")
        call.id = call.id or fragment.get("id") or ""
        call.name = call.name or name
        call.add(function.get("arguments"))

    def _finish_with(self, reason: str) -> None:
        if reason in _BROKEN_OFF:
            raise ProviderError(FailureKind.SERVER_ERROR)
        finish = FINISH_REASONS.get(reason, FinishReason.STOP)
        for number, call in enumerate(self._calls.values()):
            call.id = call.id or f"call_{number}"
            done = call.join()
            if done is not None:
                self._run.add(done)
            elif finish is not FinishReason.LENGTH:
                raise ValueError("a call without a name or with arguments that are no JSON")
        called = bool(self._calls)
        self._calls.clear()
        if finish is FinishReason.STOP and self._refused:
            finish = FinishReason.REFUSAL
        elif finish is FinishReason.STOP and called:
            finish = FinishReason.TOOL_CALL
        self._finish = finish

    def _finished(self) -> Finished:
        assert self._finish is not None
        self._done = True
        return Finished(self._finish)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Return OpenAI's usage as ours: its totals include cached and reasoning tokens too."""
    read = usage.get("prompt_tokens_details") or {}
    wrote = usage.get("completion_tokens_details") or {}
    return Usage(
        input_token_count=usage.get("prompt_tokens") or 0,
        cached_input_token_count=(
            read.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
        ),
        cache_write_token_count=read.get("cache_write_tokens") or 0,
        output_token_count=usage.get("completion_tokens") or 0,
        reasoning_token_count=wrote.get("reasoning_tokens") or 0,
    )


def _parts(content: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """Yield texts of a content list, as Mistral sends it, and whether each is reasoning."""
    for part in content:
        kind = part.get("type")
        if kind == "thinking":
            for inner in part.get("thinking") or ():
                yield inner.get("text") or "", True
        elif kind == "text":
            yield part.get("text") or "", False
