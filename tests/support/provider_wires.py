"""What each kind of provider puts on the wire for the same answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from parley_services.kit.chat.usage import Usage
from parley_services.model_router.providers.anthropic.anthropic_provider import AnthropicProvider
from parley_services.model_router.providers.openai.openai_provider import OpenAIProvider
from parley_services.model_router.providers.provider import Api, Provider

from tests.support.provider_server import sse

USAGE = Usage(
    input_token_count=20,
    cached_input_token_count=12,
    output_token_count=9,
    reasoning_token_count=3,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One kind of API: how to reach it and what it sends."""

    provider: Callable[..., Provider]
    """Takes the URL, the client, and the stream's limits."""
    path: str
    answer: Callable[..., bytes]
    """Bytes of a stream: texts, tools as (id, name, arguments in pieces), finish, usage."""
    finishes: dict[str, str]
    """The wire's word for each of our finish reasons."""
    error: Callable[[str, str], dict]
    """The body of an error by type and message."""
    error_frame: bytes
    """A frame that breaks a stream off as overloaded."""
    request_id_header: str


def _chat_chunk(delta=None, finish=None, **fields):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish, "logprobs": None}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **fields}


def _chat_answer(*texts, reasoning="", tools=(), finish="stop", refusal="", usage=True):
    events = [_chat_chunk({"role": "assistant", "content": "", "refusal": None})]
    if reasoning:
        events.append(_chat_chunk({"reasoning_content": reasoning}))
    events += [_chat_chunk({"content": text}) for text in texts]
    if refusal:
        events.append(_chat_chunk({"refusal": refusal}))
    for index, (call_id, name, _) in enumerate(tools):
        opening = {"index": index, "id": call_id, "type": "function"}
        opening["function"] = {"name": name, "arguments": ""}
        events.append(_chat_chunk({"tool_calls": [opening]}))
    # Parallel calls: their arguments come interleaved.
    pieces = max((len(arguments) for _, _, arguments in tools), default=0)
    for piece in range(pieces):
        for index, (_, _, arguments) in enumerate(tools):
            if piece < len(arguments):
                fragment = {"index": index, "function": {"arguments": arguments[piece]}}
                events.append(_chat_chunk({"tool_calls": [fragment]}))
    if finish:
        events.append(_chat_chunk(finish=finish))
    if usage:
        counts = {
            "prompt_tokens": 20,
            "completion_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 12},
            "completion_tokens_details": {"reasoning_tokens": 3},
        }
        events.append({"id": "chatcmpl-1", "choices": [], "usage": counts})
    return sse(*events, *(["[DONE]"] if finish else []))


def _messages_answer(*texts, reasoning="", tools=(), finish="end_turn", refusal="", usage=True):
    counts = {"input_tokens": 8, "cache_read_input_tokens": 12, "output_tokens": 1}
    events = [{"type": "message_start", "message": {"id": "msg_1", "usage": counts}}]
    index = 0

    def block(opening, *deltas):
        nonlocal index
        events.append({"type": "content_block_start", "index": index, "content_block": opening})
        for delta in deltas:
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
        index += 1

    if reasoning:
        thought = {"type": "thinking_delta", "thinking": reasoning}
        signed = {"type": "signature_delta", "signature": "x"}
        block({"type": "thinking", "thinking": ""}, thought, signed)
    events.append({"type": "ping"})
    said = [*texts, refusal] if refusal else texts
    if said:
        deltas = [{"type": "text_delta", "text": text} for text in said]
        block({"type": "text", "text": ""}, *deltas)
    for call_id, name, arguments in tools:
        pieces = [{"type": "input_json_delta", "partial_json": each} for each in arguments]
        block({"type": "tool_use", "id": call_id, "name": name, "input": {}}, *pieces)
    if finish:
        counts = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 3}}
        delta = {"stop_reason": finish, "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": counts})
        events.append({"type": "message_stop"})
    return sse(*events)


def _responses_answer(*texts, reasoning="", tools=(), finish="completed", refusal="", usage=True):
    events = [{"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}]
    index = 0

    def item(opening, closing, *deltas):
        nonlocal index
        where = {"output_index": index, "item_id": f"item_{index}"}
        events.append({"type": "response.output_item.added", "item": opening, **where})
        events.extend({**delta, **where} for delta in deltas)
        events.append({"type": "response.output_item.done", "item": closing, **where})
        index += 1

    if reasoning:
        thought = {"type": "response.reasoning_summary_text.delta", "delta": reasoning}
        summary = [{"type": "summary_text", "text": reasoning}]
        item({"type": "reasoning"}, {"type": "reasoning", "summary": summary}, thought)
    if texts or refusal:
        deltas = [{"type": "response.output_text.delta", "delta": text} for text in texts]
        content = [{"type": "output_text", "text": "".join(texts)}] if texts else []
        if refusal:
            deltas.append({"type": "response.refusal.delta", "delta": refusal})
            content.append({"type": "refusal", "refusal": refusal})
        item({"type": "message"}, {"type": "message", "content": content}, *deltas)
    for call_id, name, arguments in tools:
        opening = {"type": "function_call", "call_id": call_id, "name": name, "arguments": ""}
        deltas = [
            {"type": "response.function_call_arguments.delta", "delta": each} for each in arguments
        ]
        item(opening, {**opening, "arguments": "".join(arguments)}, *deltas)
    if finish:
        counts = {
            "input_tokens": 20,
            "output_tokens": 9,
            "input_tokens_details": {"cached_tokens": 12},
            "output_tokens_details": {"reasoning_tokens": 3},
        }
        status = "completed" if finish == "completed" else "incomplete"
        response = {"id": "resp_1", "status": status, "usage": counts if usage else None}
        if status == "incomplete":
            response["incomplete_details"] = {"reason": finish}
        events.append({"type": f"response.{status}", "response": response})
    return sse(*events)


class _ByResponses:
    """Asks for every model by the Responses API."""

    def __init__(self, provider):
        self._provider = provider
        self.aclose = provider.aclose

    async def open(self, call):
        model = replace(call.model, api=Api.RESPONSES)
        return await self._provider.open(replace(call, model=model))


CHAT = Wire(
    provider=lambda url, client, limits=None: OpenAIProvider(
        http_client=client, base_url=f"{url}/v1", limits=limits
    ),
    path="/v1/chat/completions",
    answer=_chat_answer,
    finishes={
        "stop": "stop",
        "length": "length",
        "tool_call": "tool_calls",
        "content_filter": "content_filter",
        "refusal": "stop",
    },
    error=lambda kind, message: {"error": {"type": kind, "code": kind, "message": message}},
    error_frame=sse({"error": {"type": "overloaded", "message": "busy", "code": None}}),
    request_id_header="x-request-id",
)

MESSAGES = Wire(
    provider=lambda url, client, limits=None: AnthropicProvider(
        http_client=client, base_url=url, limits=limits
    ),
    path="/v1/messages",
    answer=_messages_answer,
    finishes={
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_call": "tool_use",
        "refusal": "refusal",
    },
    error=lambda kind, message: {"type": "error", "error": {"type": kind, "message": message}},
    error_frame=sse({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
    request_id_header="request-id",
)

RESPONSES = Wire(
    provider=lambda url, client, limits=None: _ByResponses(CHAT.provider(url, client, limits)),
    path="/v1/responses",
    answer=_responses_answer,
    finishes={
        "stop": "completed",
        "length": "max_output_tokens",
        "tool_call": "completed",
        "content_filter": "content_filter",
        "refusal": "completed",
    },
    error=CHAT.error,
    error_frame=sse({"type": "error", "code": "overloaded", "message": "busy", "param": None}),
    request_id_header="x-request-id",
)

WIRES = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}


def error_bytes(wire: Wire, kind: str, message: str = "no") -> bytes:
    """Return the body of an error response."""
    return json.dumps(wire.error(kind, message)).encode()
