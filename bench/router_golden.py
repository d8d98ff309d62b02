"""
How many recorded provider responses decode to the right answer.

`python -m bench.router_golden` reads the recordings in the folder named by PARLEY_BENCH_DATA.
A stream is right when its text, tool calls, finish reason and usage are those that a plain
fold over its JSON gives, and when one byte at a time (97 for the longest) gives the same as all at
once.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from parley_services.model_router.attempt.failures import ProviderError
from parley_services.model_router.providers.anthropic.messages_decoder import MessagesDecoder
from parley_services.model_router.providers.openai.chat_decoder import ChatDecoder
from parley_services.model_router.providers.openai.responses_decoder import ResponsesDecoder
from parley_services.model_router.providers.provider import (
    Alive,
    Finished,
    TextDelta,
    ToolCallDone,
)
from rich.console import Console
from rich.table import Table

from bench.router_folds import folded
from tests.support.model_router import believed

FOLDERS = (
    "openai/chat", "openai/responses", "open-responses/responses", "azure", "openai-compatible",
    "groq", "mistral", "deepseek", "xai", "xai/responses", "perplexity", "anthropic",
)  # fmt: skip
DECODERS: dict[str, Callable[[], Any]] = {
    "chat": ChatDecoder,
    "messages": MessagesDecoder,
    "responses": ResponsesDecoder,
}
LONG_BYTES = 30_000
MARKS = {
    "chat": b'"choices"',
    "messages": b'"type":"message"',
    "responses": b'"object":"response"',
}
"""What an answer of each API has in it, white space taken out."""


class LiteralLoader(yaml.SafeLoader):
    """Reads cassettes without knowing their tags."""


def recordings(root: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield folder, name, API and body of each recorded answer, as a stream or whole."""
    for folder in FOLDERS:
        for path in sorted((root / "vercel_ai_fixtures" / folder).glob("*.chunks.txt")):
            frames = b"".join(
                b"data: %s\n\n" % line for line in path.read_bytes().splitlines() if line.strip()
            )
            for answer in _answers(frames):
                yield folder, path.name, _api(folder, answer), answer
        for path in sorted((root / "vercel_ai_fixtures" / folder).glob("*.json")):
            yield folder, path.name, _api(folder, path.read_bytes()), path.read_bytes()
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


def _api(folder: str, body: bytes) -> str:
    if folder == "anthropic":
        return "messages"
    return "responses" if MARKS["responses"] in body.replace(b": ", b":") else "chat"


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
    decoder = DECODERS[api]()
    events = []
    try:
        if body.lstrip().startswith(b"{"):
            events = decoder.whole(body)
        else:
            for start in range(0, len(body), size):
                events += decoder.feed(body[start : start + size])
                if decoder.failure is not None:
                    raise decoder.failure
            events = [each for each in events if not isinstance(each, Alive)]
            if not events or not isinstance(events[-1], Finished):
                events += decoder.finish()
    except ProviderError as error:
        return f"error: {error.kind}"
    usage = believed(decoder.usage)
    return {
        "text": "".join(each.text for each in events if isinstance(each, TextDelta)),
        "tools": [
            (each.call.id, each.call.name, json.loads(each.call.arguments_json))
            for each in events
            if isinstance(each, ToolCallDone)
        ],
        "finish": events[-1].finish_reason.key,
        "usage": (usage.input_token_count, usage.output_token_count) if usage else None,
    }


def main() -> None:
    """Print the table, and each recording that is not right."""
    console = Console()
    root = os.environ.get("PARLEY_BENCH_DATA")
    if not root:
        sys.exit("Set PARLEY_BENCH_DATA to the folder with the recordings.")
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for folder, name, api, body in recordings(Path(root)):
        if MARKS[api] not in body.replace(b": ", b":"):
            continue
        expected = _safely(lambda a=api, b=body: folded(a, b))
        if expected is None:
            continue  # Not an answer: embeddings, transcriptions.
        total[f"{folder} ({api})"] += 1
        # A byte at a time takes minutes for the longest.
        size = 1 if len(body) < LONG_BYTES else 97
        whole, bytewise = decoded(api, body, len(body)), decoded(api, body, size)
        as_expected = whole == expected or (isinstance(whole, str) and isinstance(expected, str))
        if as_expected and whole == bytewise:
            right[f"{folder} ({api})"] += 1
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
