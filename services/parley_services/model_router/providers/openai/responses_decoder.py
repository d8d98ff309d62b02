"""Reads streams of OpenAI's Responses API and of the servers that speak it."""

from collections.abc import Mapping
from typing import Any, Final

from parley_services.kit.chat.answer import FinishReason
from parley_services.model_router.attempt.failures import ProviderError
from parley_services.model_router.providers.finish_reasons import stronger
from parley_services.model_router.providers.http.event_decoder import EventDecoder
from parley_services.model_router.providers.openai.logprobs import logprobs_of
from parley_services.model_router.providers.openai.responses_usage import read_usage
from parley_services.model_router.providers.refusals import failure_of_body
from parley_services.model_router.providers.tool_fragments import ToolFragments

_PARAGRAPH: Final = "\n\n"


class ResponsesDecoder(EventDecoder):
    """
    Turns the bytes of one stream into events.

    Items of tools that the provider runs by itself are passed over: none is ever asked for.
    """

    _ends_with_reason = False  # Some compatible servers send `[DONE]` here too.

    def __init__(self, finish_reasons: Mapping[str, FinishReason] | None = None) -> None:
        super().__init__(finish_reasons)
        self._written: set[object] = set()
        self._arguments: dict[object, list[str]] = {}
        self._called = False
        self._refused = False
        self._incomplete_call = False
        self._dropped = ""

    @property
    def unfinished(self) -> str:
        return self._dropped + "".join(
            piece for pieces in self._arguments.values() for piece in pieces
        )

    def _read_whole(self, document: dict[str, Any]) -> None:
        for index, item in enumerate(document.get("output") or ()):
            self._item(index, item)
        self._end(document)

    def _read(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "response.output_text.delta" | "response.refusal.delta" as kind:
                self._written.add(event.get("output_index"))
                self._run.text(event["delta"])
                self._refused = self._refused or kind == "response.refusal.delta"
                if logprobs := event.get("logprobs"):
                    self._run.add(logprobs_of(logprobs))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._written.add(event.get("output_index"))
                self._run.reasoning(event["delta"])
            case "response.reasoning_summary_part.added" if event.get("summary_index"):
                self._run.reasoning(_PARAGRAPH)
            case "response.function_call_arguments.delta":
                where = event.get("output_index")
                self._arguments.setdefault(where, []).append(str(event["delta"]))
                self._wrote = True
            case "response.output_item.done":
                self._item(event.get("output_index"), event["item"])
            case "response.created":
                self.response_id = str(event["response"].get("id") or "")
            case "response.completed" | "response.incomplete" | "response.failed":
                self._end(event["response"])
                self._finish()
            case "error":
                # OpenAI documents the fields beside the type and sends them in an object.
                error = event.get("error") or {**event, "type": None}
                raise ProviderError(failure_of_body(None, error))
            case _:
                pass

    def _item(self, index: object, item: dict[str, Any]) -> None:
        """Take what *item*, which is complete, says beyond the deltas that came of it."""
        self._arguments.pop(index, None)
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
        call = ToolFragments(
            id=item.get("call_id") or item.get("id") or "", name=item.get("name") or ""
        )
        call.add(item.get("arguments"))
        done = call.join()
        if done is None or item.get("status") == "incomplete":
            self._incomplete_call = True
            self._dropped += call.text
            return
        self._called = True
        self._run.add(done)

    def _end(self, response: dict[str, Any]) -> None:
        if (usage := response.get("usage")) is not None:
            self._report(read_usage(usage, service_tier=response.get("service_tier")))
        self.response_id = self.response_id or str(response.get("id") or "")
        match response.get("status"):
            case "failed" | "cancelled":
                raise ProviderError(failure_of_body(None, response.get("error")))
            case "incomplete":
                # An unknown reason means that the answer is not whole, whatever it is.
                self._end_with((response.get("incomplete_details") or {}).get("reason") or "length")
            case "completed":
                if self._incomplete_call:
                    raise ValueError("arguments that are no JSON")
                self._end_with("completed")
            case _:
                raise ValueError("an end without a status")

    def _final_reason(self) -> FinishReason:
        if self._refused:
            return stronger(self._reason, FinishReason.REFUSAL)
        return stronger(self._reason, FinishReason.TOOL_CALL) if self._called else self._reason
