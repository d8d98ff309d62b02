"""
How many recorded provider responses decode to the right answer.

`python -m bench.router_golden` reads the recordings in the folder named by PARLEY_BENCH_DATA.
A stream is right when its text, tool calls, finish reason and usage are those that a plain
fold over its JSON gives, and when one byte at a time gives the same as all at once.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from services.model_router.failures import ProviderError
from services.model_router.provider import Finished, TextDelta, ToolCallDone
from services.model_router.providers import anthropic_decoder, openai_chat_decoder

CHAT_FOLDERS = (
    "openai/chat", "azure", "openai-compatible", "groq", "mistral", "deepseek", "xai",
    "perplexity",
)  # fmt: skip


READ_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
STOP_WORDS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_call",
}


class LiteralLoader(yaml.SafeLoader):
    """Reads cassettes without knowing their tags."""


def recordings(root: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield folder, name, API and body of each recorded answer, as a stream or whole."""
    for folder, api in [*((each, "chat") for each in CHAT_FOLDERS), ("anthropic", "messages")]:
        for path in sorted((root / "vercel_ai_fixtures" / folder).glob("*.chunks.txt")):
            frames = b"".join(
                b"data: %s\n\n" % line for line in path.read_bytes().splitlines() if line.strip()
            )
            for answer in _answers(frames):
                yield folder, path.name, api, answer
        for path in sorted((root / "vercel_ai_fixtures" / folder).glob("*.json")):
            yield folder, path.name, api, path.read_bytes()
    for folder in (
        "envoy_ai_gateway_cassettes",
        "otel_openai_cassettes",
        "openllmetry_anthropic_cassettes",
    ):
        for path in sorted((root / folder).glob("*.yaml")):
            yield from _of_cassette(folder, path)
    for path in sorted((root / "anthropic_sdk_sse").iterdir()):
        if path.suffix in (".txt", ".sse"):
            yield "anthropic_sdk_sse", path.name, "messages", path.read_bytes()


def _answers(frames: bytes) -> Iterator[bytes]:
    """Yield each answer of *frames*: a file may hold several of one conversation."""
    end = b'"type":"message_stop"'
    while frames.strip():
        found = frames.find(end)
        stop = frames.find(b"\n\n", found) + 2 if found >= 0 else len(frames)
        yield frames[:stop]
        frames = frames[stop:]


def _of_cassette(folder: str, path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    for interaction in yaml.load(path.read_text(), LiteralLoader)["interactions"]:
        request, response = interaction["request"], interaction["response"]
        url = request.get("url") or request.get("uri") or ""
        status = response.get("code") or (response.get("status") or {}).get("code") or 200
        body = response.get("body")
        body = body.get("string") if isinstance(body, dict) else body
        if int(status) >= 400 or not body:
            continue
        api = "chat" if "/chat/completions" in url else "messages" if "/messages" in url else ""
        if api:
            yield folder, path.name, api, body if isinstance(body, bytes) else body.encode()


def decoded(api: str, body: bytes, size: int) -> dict[str, Any] | str:
    """Return what the router's decoder makes of *body* in pieces of *size*, or the error."""
    decoder: Any = (
        openai_chat_decoder.ChatDecoder() if api == "chat" else anthropic_decoder.MessagesDecoder()
    )
    events = []
    try:
        if body.lstrip().startswith(b"{"):
            events = decoder.whole(body)
        else:
            for start in range(0, len(body), size):
                events += decoder.feed(body[start : start + size])
            if not events or not isinstance(events[-1], Finished):
                events += decoder.finish()
    except ProviderError as error:
        return f"error: {error.kind}"
    usage = decoder.usage
    return {
        "text": "".join(each.text for each in events if isinstance(each, TextDelta)),
        "tools": [
            (each.call.id, each.call.name, json.loads(each.call.arguments_json))
            for each in events
            if isinstance(each, ToolCallDone)
        ],
        "finish": events[-1].finish_reason.value,
        "usage": (usage.input_token_count, usage.output_token_count) if usage else None,
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
        return (_folded_chat if api == "chat" else _folded_messages)(chunks)
    except StopIteration:
        return "error: cut"


def _folded_chat(chunks: list[dict[str, Any]]) -> dict[str, Any] | str:
    if any(chunk.get("error") for chunk in chunks):
        return "error"
    text, finish, usage, refused = "", None, None, False
    tools: dict[Any, dict[str, str]] = {}
    for chunk in chunks:
        counts = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        usage = (counts["prompt_tokens"], counts["completion_tokens"]) if counts else usage
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
                self.counts.update({k: v for k, v in given.items() if v is not None})
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


def main() -> None:
    """Print the table, and each recording that is not right."""
    console = Console()
    root = os.environ.get("PARLEY_BENCH_DATA")
    if not root:
        sys.exit("Set PARLEY_BENCH_DATA to the folder with the recordings.")
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for folder, name, api, body in recordings(Path(root)):
        if (b'"choices"' if api == "chat" else b'"type":"message') not in body.replace(b": ", b":"):
            continue
        expected = _safely(lambda a=api, b=body: folded(a, b))
        if expected is None:
            continue  # Not an answer of this API: embeddings, responses, transcriptions.
        total[folder] += 1
        whole, bytewise = decoded(api, body, len(body)), decoded(api, body, 1)
        as_expected = whole == expected or (isinstance(whole, str) and isinstance(expected, str))
        if as_expected and whole == bytewise:
            right[folder] += 1
        else:
            console.print(f"{folder}/{name}: {_difference(expected, whole)}")
    table = Table("recordings", "right", "of")
    for folder in total:
        table.add_row(folder, str(right[folder]), str(total[folder]))
    table.add_row("all", str(right.total()), str(total.total()))
    console.print(table)


def _safely(fold: Callable[[], Any]) -> Any:
    try:
        return fold()
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _difference(expected: Any, got: Any) -> str:
    if isinstance(expected, str) or isinstance(got, str):
        return f"expected {str(expected)[:80]!r}, got {str(got)[:80]!r}"
    parts = [key for key in expected if expected[key] != got[key]]
    return ", ".join(f"{k}: {str(expected[k])[:60]!r} != {str(got[k])[:60]!r}" for k in parts)


if __name__ == "__main__":
    main()
