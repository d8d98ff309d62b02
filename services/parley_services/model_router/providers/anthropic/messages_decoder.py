"""Reads streams of Anthropic's Messages API."""

from collections.abc import Mapping
from typing import Any

from parley_services.kit.chat.answer import FinishReason
from parley_services.model_router.attempt.failures import ProviderError
from parley_services.model_router.providers.anthropic.messages_usage import read_usage
from parley_services.model_router.providers.finish_reasons import stronger
from parley_services.model_router.providers.http.event_decoder import EventDecoder
from parley_services.model_router.providers.refusals import failure_of_body
from parley_services.model_router.providers.tool_fragments import ToolFragments


class MessagesDecoder(EventDecoder):
    """Turns the bytes of one stream into events."""

    def __init__(self, finish_reasons: Mapping[str, FinishReason] | None = None) -> None:
        super().__init__(finish_reasons)
        self._calls: dict[object, ToolFragments] = {}
        self._called = False
        self._awaits_tools = False
        self._has_half_call = False
        self._dropped = ""

    @property
    def unfinished(self) -> str:
        return self._dropped + "".join(call.text for call in self._calls.values())

    def _read(self, event: dict[str, Any]) -> None:
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
            if self.has_ended:
                self._finish()
        elif kind == "error":
            raise ProviderError(failure_of_body(None, event.get("error")))
        # `ping`, and kinds to come: https://docs.anthropic.com/en/api/versioning

    def _read_whole(self, document: dict[str, Any]) -> None:
        self._start(document)
        for index, block in enumerate(document.get("content") or ()):
            self._open_block(index, block)
            self._close_block(index)
        self._delta_of_message({"delta": document, "usage": document.get("usage")})

    def _start(self, message: dict[str, Any]) -> None:
        self.response_id = str(message.get("id") or "")
        if (usage := message.get("usage")) is not None:
            self._report(read_usage(usage, is_final=False))

    def _open_block(self, index: object, block: dict[str, Any]) -> None:
        kind = block.get("type")
        if kind == "tool_use":
            if index in self._calls:
                # The answer began anew: what was half written there does not count.
                self._close_block(index, may_be_half=True)
            call = ToolFragments(id=block.get("id") or "", name=block.get("name") or "")
            # Calls that the provider's own code made are answered there.
            caller = (block.get("caller") or {}).get("type", "direct")
            self._awaits_tools = self._awaits_tools or caller == "direct"
            call.add(block.get("input") or None)
            self._calls[index] = call
            self._wrote = True
        elif kind == "text":
            self._run.text(block.get("text") or "")
        elif kind == "thinking":
            self._run.reasoning(block.get("thinking") or "")

    def _delta_of_block(self, index: object, delta: dict[str, Any]) -> None:
        kind = delta.get("type")
        if kind == "text_delta":
            self._run.text(delta["text"])
        elif kind == "input_json_delta":
            if index in self._calls:
                self._calls[index].add(delta["partial_json"])
                self._wrote = True
        elif kind == "thinking_delta":
            self._run.reasoning(delta["thinking"])

    def _close_block(self, index: object, *, may_be_half: bool = False) -> None:
        call = self._calls.pop(index, None)
        if call is None:
            return
        if (done := call.join()) is not None:
            self._called = True
            self._run.add(done)
        else:
            self._dropped += call.text
            self._has_half_call = self._has_half_call or not may_be_half

    def _delta_of_message(self, event: dict[str, Any]) -> None:
        if reason := (event.get("delta") or {}).get("stop_reason"):
            self._end_with(reason)
            # The limit may end a call without closing it; so may a server that is in a hurry.
            for index in list(self._calls):
                self._close_block(index)
            if self._has_half_call and self._reason is not FinishReason.LENGTH:
                raise ValueError("arguments that are no JSON")
        # The counts of message_delta are totals, not additions.
        if (usage := event.get("usage")) is not None:
            self._report(read_usage(usage, is_final=self.has_ended))

    def _final_reason(self) -> FinishReason:
        if self._called and self._awaits_tools:
            return stronger(self._reason, FinishReason.TOOL_CALL)
        return self._reason
