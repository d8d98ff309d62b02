"""Reads streams of OpenAI's Chat Completions and of the many servers that speak it."""

from collections.abc import Iterator, Mapping
from typing import Any

from parley_services.kit.chat.answer import FinishReason
from parley_services.model_router.attempt.failures import ProviderError
from parley_services.model_router.providers.finish_reasons import stronger
from parley_services.model_router.providers.http.event_decoder import EventDecoder
from parley_services.model_router.providers.openai.chat_usage import read_usage
from parley_services.model_router.providers.openai.logprobs import logprobs_of
from parley_services.model_router.providers.refusals import failure_of_body
from parley_services.model_router.providers.tool_fragments import IndexedCalls


class ChatDecoder(EventDecoder):
    """Turns the bytes of one stream into events."""

    def __init__(self, finish_reasons: Mapping[str, FinishReason] | None = None) -> None:
        super().__init__(finish_reasons)
        self._calls = IndexedCalls()
        self._called = False
        self._has_half_call = False
        self._dropped = ""
        self._refused = False
        self._service_tier: Any = ""

    @property
    def unfinished(self) -> str:
        return self._dropped + self._calls.text

    def _read(self, event: dict[str, Any]) -> None:
        self._read_chunk(event, "delta")

    def _read_whole(self, document: dict[str, Any]) -> None:
        self._read_chunk(document, "message")

    def _read_chunk(self, chunk: dict[str, Any], message_field: str) -> None:
        if error := chunk.get("error"):
            raise ProviderError(failure_of_body(None, error))
        if not self.response_id:
            self.response_id = str(chunk.get("id") or "")
        if tier := chunk.get("service_tier"):
            self._service_tier = tier
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue  # Only one answer was asked for.
            if message := choice.get(message_field):
                self._message(message)
            if logprobs := choice.get("logprobs"):
                self._logprobs(logprobs)
            if reason := choice.get("finish_reason"):
                self._finish_with(reason)
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        if usage is not None:
            self._report(
                read_usage(usage, service_tier=self._service_tier, is_final=self.has_ended)
            )

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
        if call := message.get("function_call"):
            self._calls.add(0, "", call.get("name") or "", call.get("arguments"))
            self._wrote = True

    def _logprobs(self, logprobs: dict[str, Any]) -> None:
        if tokens := logprobs.get("content"):
            self._run.add(logprobs_of(tokens))

    def _tool_call(self, fragment: dict[str, Any]) -> None:
        function = fragment.get("function") or {}
        self._calls.add(
            fragment.get("index"),
            fragment.get("id") or "",
            function.get("name") or "",
            function.get("arguments"),
        )
        self._wrote = True

    def _finish_with(self, word: str) -> None:
        if self.has_ended and not len(self._calls):
            # Nothing that comes after a reason takes the answer back.
            try:
                self._end_with(word)
            except ProviderError:
                return
            return
        self._end_with(word)
        for number, call in enumerate(self._calls.take()):
            call.id = call.id or f"call_{number}"
            done = call.join()
            if done is not None:
                self._called = True
                self._run.add(done)
            else:
                self._dropped += call.text
                self._has_half_call = True
        if self._has_half_call and self._reason is not FinishReason.LENGTH:
            raise ValueError("a call without a name or with arguments that are no JSON")

    def _final_reason(self) -> FinishReason:
        reason = self._reason
        if self._refused:
            return stronger(reason, FinishReason.REFUSAL)
        if self._called:
            return stronger(reason, FinishReason.TOOL_CALL)
        return reason


def _parts(content: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """Yield texts of a content list, as Mistral sends it, and whether each is reasoning."""
    for part in content:
        kind = part.get("type")
        if kind == "thinking":
            for inner in part.get("thinking") or ():
                yield inner.get("text") or "", True
        elif kind == "text":
            yield part.get("text") or "", False
