"""Reads streams of OpenAI's Responses API and of the servers that speak it."""

from collections.abc import Mapping
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

INCOMPLETE_REASONS: Final[Mapping[str, FinishReason]] = {
    "max_output_tokens": FinishReason.LENGTH,
    "max_messages": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
"""`incomplete_details.reason`; an unknown one means that the answer is not whole."""

_PARAGRAPH: Final = "\n\n"


class ResponsesDecoder:
    """
    Turns the bytes of one stream into events.

    Items of tools that the provider runs by itself are passed over: none is ever asked for.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.response_id = ""
        self._frames = EventStreamDecoder()
        self._run = TextRun()
        self._written: set[object] = set()
        self._called = False
        self._refused = False
        self._incomplete_call = False
        self._finish: FinishReason | None = None

    def feed(self, chunk: bytes) -> list[ProviderEvent]:
        """Return the events that *chunk* completes. Raises ProviderError."""
        return self._decode(self._frames.feed(chunk))

    def finish(self) -> list[ProviderEvent]:
        """Return the last events, when the connection ended. Raises ProviderError."""
        events = self._decode(self._frames.finish())
        if self._finish is None:
            raise ProviderError(FailureKind.CUT)
        return events

    def whole(self, body: bytes) -> list[ProviderEvent]:
        """Return the events of an answer that came in one piece. Raises ProviderError."""
        response = parse_object(body)
        try:
            for index, item in enumerate(response.get("output") or ()):
                self._item(index, item)
            self._end(response)
        except (AttributeError, TypeError, KeyError, ValueError):
            raise ProviderError(FailureKind.MALFORMED) from None
        if self._finish is None:
            raise ProviderError(FailureKind.MALFORMED)
        return self._run.take()

    def _decode(self, frames: list[bytes]) -> list[ProviderEvent]:
        for data in frames:
            if self._finish is not None:
                break
            if not data or data.startswith(b"[DONE]"):
                continue  # Some compatible servers send it here too.
            event = parse_object(data)
            try:
                self._event(event)
            except (AttributeError, TypeError, KeyError, ValueError):
                raise ProviderError(FailureKind.MALFORMED) from None
        return self._run.take()

    def _event(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "response.output_text.delta":
                self._written.add(event.get("output_index"))
                self._run.text(event["delta"])
                if logprobs := event.get("logprobs"):
                    self._run.add(logprobs_of(logprobs))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._written.add(event.get("output_index"))
                self._run.reasoning(event["delta"])
            case "response.reasoning_summary_part.added" if event.get("summary_index"):
                self._run.reasoning(_PARAGRAPH)
            case "response.refusal.delta":
                self._written.add(event.get("output_index"))
                self._refused = True
                self._run.text(event["delta"])
            case "response.output_item.done":
                self._item(event.get("output_index"), event["item"])
            case "response.created":
                self.response_id = event["response"].get("id") or ""
            case "response.completed" | "response.incomplete" | "response.failed":
                self._end(event["response"])
            case "error":
                # OpenAI documents the fields beside the type and sends them in an object.
                error = event.get("error") or {**event, "type": None}
                raise ProviderError(failure_of_body(None, error))
            case _:
                pass

    def _item(self, index: object, item: dict[str, Any]) -> None:
        """Take what *item*, which is complete, says beyond the deltas that came of it."""
        match item.get("type"):
            case "function_call":
                self._function_call(item)
            case "message" if index not in self._written:
                for part in item.get("content") or ():
                    self._run.text(part.get("text") or part.get("refusal") or "")
                    self._refused = self._refused or part.get("type") == "refusal"
            case "reasoning" if index not in self._written:
                parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
                self._run.reasoning(_PARAGRAPH.join(part.get("text") or "" for part in parts))
            case _:
                pass

    def _function_call(self, item: dict[str, Any]) -> None:
        call = ToolFragments(id=item.get("call_id") or item.get("id") or "", name=item["name"])
        call.add(item.get("arguments"))
        done = call.join()
        if done is None or item.get("status") == "incomplete":
            self._incomplete_call = True
            return
        self._called = True
        self._run.add(done)

    def _end(self, response: dict[str, Any]) -> None:
        if usage := response.get("usage"):
            self.usage = usage_of(usage)
        self.response_id = self.response_id or response.get("id") or ""
        match response.get("status"):
            case "failed" | "cancelled":
                raise ProviderError(failure_of_body(None, response.get("error")))
            case "incomplete":
                reason = (response.get("incomplete_details") or {}).get("reason") or ""
                self._finish = INCOMPLETE_REASONS.get(reason, FinishReason.LENGTH)
            case "completed":
                if self._incomplete_call:
                    raise ValueError("arguments that are no JSON")
                self._finish = self._finish_of_complete()
            case _:
                raise ValueError("an end without a status")
        self._run.add(Finished(self._finish))

    def _finish_of_complete(self) -> FinishReason:
        if self._called:
            return FinishReason.TOOL_CALL
        return FinishReason.REFUSAL if self._refused else FinishReason.STOP


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Return the API's usage as ours: its totals include cached and reasoning tokens too."""
    read = usage.get("input_tokens_details") or {}
    wrote = usage.get("output_tokens_details") or {}
    return Usage(
        input_token_count=usage.get("input_tokens") or 0,
        cached_input_token_count=read.get("cached_tokens") or 0,
        cache_write_token_count=read.get("cache_write_tokens") or 0,
        output_token_count=usage.get("output_tokens") or 0,
        reasoning_token_count=wrote.get("reasoning_tokens") or 0,
    )
