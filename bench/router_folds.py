"""What a plain fold over the JSON of a recorded answer gives, to hold the decoders against."""

import json
from collections.abc import Callable, Iterator
from typing import Any

READ_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
STOP_WORDS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_call",
}


def folded(api: str, body: bytes) -> dict[str, Any] | str:
    """Return what a plain fold over the JSON of *body* gives."""
    if body.lstrip().startswith(b"{"):
        chunks = [json.loads(body)]
    else:
        lines = body.decode().replace("\r\n", "\n").split("\n")
        data = [line[5:].strip() for line in lines if line.startswith("data:")]
        chunks = [json.loads(each) for each in data if each and each != "[DONE]"]
    try:
        return FOLDS[api](chunks)
    except StopIteration:
        return "error: cut"


def _folded_chat(chunks: list[dict[str, Any]]) -> dict[str, Any] | str:
    if any(chunk.get("error") for chunk in chunks):
        return "error"
    text, finish, usage, refused = "", None, None, False
    tools: dict[Any, dict[str, str]] = {}
    for chunk in chunks:
        counts = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        if counts:
            # Some count reasoning beside the completion; the total has all.
            usage = (counts["prompt_tokens"], counts["total_tokens"] - counts["prompt_tokens"])
        for choice in (each for each in chunk.get("choices") or [] if not each["index"]):
            delta = choice.get("delta") or choice.get("message") or {}
            content = delta.get("content") or ""
            if isinstance(content, list):
                content = "".join(part.get("text", "") for part in content)
            text += content + (delta.get("refusal") or "")
            refused = refused or bool(delta.get("refusal"))
            _fold_calls(tools, delta.get("tool_calls") or [])
            finish = choice.get("finish_reason") or finish
    if finish is None:
        raise StopIteration
    words = {"tool_calls": "tool_call", "function_call": "tool_call"}
    finish = "refusal" if refused and finish == "stop" else words.get(finish, finish)
    if tools and finish == "stop":
        finish = "tool_call"
    calls = [(e["id"], e["name"], json.loads(e["arguments"] or "{}")) for e in tools.values()]
    return {"text": text, "tools": calls, "finish": finish, "usage": usage}


def _fold_calls(tools: dict[Any, dict[str, str]], fragments: list[dict[str, Any]]) -> None:
    for fragment in fragments:
        key = fragment.get("index", fragment.get("id"))
        entry = tools.setdefault(key, {"id": "", "name": "", "arguments": ""})
        function = fragment.get("function") or {}
        entry["id"] = entry["id"] or fragment.get("id") or ""
        entry["name"] = entry["name"] or function.get("name") or ""
        entry["arguments"] += function.get("arguments") or ""


class _Fold:
    """What the events of one message add up to."""

    def __init__(self) -> None:
        self.text = ""
        self.tools: dict[int, tuple[str, str, str]] = {}
        self.finish: str | None = None
        self.counts: dict[str, Any] = {}
        self.ended = False

    def add(self, event: dict[str, Any]) -> None:
        """Add *event*."""
        match event["type"]:
            case "message_start":
                self.counts.update(event["message"].get("usage") or {})
            case "content_block_start":
                self._open(event["index"], event["content_block"])
            case "content_block_delta":
                self._delta(event["index"], event["delta"])
            case "message_delta":
                given = event.get("usage") or {}
                self.counts.update({k: v for k, v in given.items() if v})
                self.finish = event["delta"].get("stop_reason") or self.finish
            case "message_stop":
                self.ended = True

    def _open(self, index: int, block: dict[str, Any]) -> None:
        if block["type"] == "text":
            self.text += block.get("text") or ""
        if block["type"] == "tool_use":
            given = json.dumps(block["input"]) if block.get("input") else ""
            self.tools[index] = (block["id"], block["name"], given)

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        if delta["type"] == "text_delta":
            self.text += delta["text"]
        if delta["type"] == "input_json_delta" and index in self.tools:
            call_id, name, arguments = self.tools[index]
            self.tools[index] = (call_id, name, arguments + delta["partial_json"])


def _folded_messages(events: list[dict[str, Any]]) -> dict[str, Any] | str:
    if events and events[0].get("type") == "message":
        events = list(_as_stream(events[0]))
    if any(event["type"] == "error" for event in events):
        return "error"
    fold = _Fold()
    for event in events:
        fold.add(event)
    if fold.finish is None or not fold.ended:
        raise StopIteration
    calls = []
    for call_id, name, arguments in fold.tools.values():
        try:
            calls.append((call_id, name, json.loads(arguments or "{}")))
        except json.JSONDecodeError:
            if fold.finish != "max_tokens":
                return "error: malformed"
    return {
        "text": fold.text,
        "tools": calls,
        "finish": STOP_WORDS.get(fold.finish, fold.finish),
        "usage": (
            sum(fold.counts.get(name) or 0 for name in READ_COUNTS),
            fold.counts.get("output_tokens") or 0,
        ),
    }


def _as_stream(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events that a stream of the whole *message* would have."""
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(message["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": block}
    yield {"type": "message_delta", "delta": message}
    yield {"type": "message_stop"}


def _folded_responses(events: list[dict[str, Any]]) -> dict[str, Any] | str:
    """Return what the whole response says that the last event carries."""
    if events and events[0].get("object") == "response":
        [response] = events
    else:
        if any(event["type"] in ("error", "response.failed") for event in events):
            return "error"
        if _is_shortened(events):
            raise ValueError("not all of the recording is there")
        ends = ("response.completed", "response.incomplete")
        response = next(event["response"] for event in events if event["type"] in ends)
    items = response["output"]
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    tools = [
        (item["call_id"], item["name"], json.loads(item["arguments"] or "{}"))
        for item in items
        if item["type"] == "function_call"
    ]
    refused = any(part["type"] == "refusal" for part in parts)
    if response["status"] == "incomplete":
        reason = response["incomplete_details"]["reason"]
        finish = "content_filter" if reason == "content_filter" else "length"
    else:
        finish = "tool_call" if tools else "refusal" if refused else "stop"
    usage = response.get("usage")
    return {
        "text": "".join(part.get("text") or part.get("refusal") or "" for part in parts),
        "tools": tools,
        "finish": finish,
        "usage": (usage["input_tokens"], usage["output_tokens"]) if usage else None,
    }


def _is_shortened(events: list[dict[str, Any]]) -> bool:
    """Tell whether who recorded the stream left pieces of its text out."""
    told = "".join(e["text"] for e in events if e["type"] == "response.output_text.done")
    came = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    return told != came


FOLDS: dict[str, Callable[[list[dict[str, Any]]], dict[str, Any] | str]] = {
    "chat": _folded_chat,
    "messages": _folded_messages,
    "responses": _folded_responses,
}
