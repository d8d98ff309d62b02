import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    ResponseFormatType,
    Role,
    Tool,
    ToolCall,
)
from parley_services.kit.models import tokens
from parley_services.kit.models.images import image_token_count
from parley_services.kit.models.tokens import (
    count_input,
    count_tokens,
    encoding_name,
    measure_tokens,
)


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("ft:gpt-4o:acme", "o200k_base"),
        ("openai/gpt-oss-20b", "o200k_harmony"),
        ("text-embedding-3-small", "cl100k_base"),
        ("meta-llama/Llama-3.1-8B", "llama3"),
        ("claude-sonnet-5-5", None),
        ("", None),
    ],
)
def test_models_have_their_vocabulary(model, encoding):
    assert encoding_name(model) == encoding


def test_counts_are_those_of_the_published_vocabulary():
    # As OpenAI's cookbook "How to count tokens with tiktoken" prints them.
    assert count_tokens("antidisestablishmentarianism", "gpt-4o") == 6
    assert count_tokens("2 + 2 = 4", "gpt-4") == 7
    assert count_tokens("お誕生日おめでとう", "gpt-4o") == 8
    assert count_tokens("お誕生日おめでとう", "gpt-4") == 9


def test_a_model_without_a_published_vocabulary_is_estimated():
    assert measure_tokens("Hello there", "claude-sonnet-5-5").estimated
    assert not measure_tokens("Hello there", "gpt-4o").estimated


@given(st.text(st.characters(codec=None), min_size=1))
def test_text_is_never_free(text):
    assert count_tokens(text) >= 1


def test_no_text_has_no_tokens():
    assert count_tokens("") == 0


def test_without_a_vocabulary_four_characters_are_a_token(monkeypatch):
    monkeypatch.setattr(tokens, "_tokenizer", lambda encoding: None)
    assert measure_tokens("abcdé 誕生", "gpt-4o").token_count == 2 + 3
    counted = measure_tokens("abcde", "gpt-4o")
    assert (counted.token_count, counted.estimated) == (2, True)


def text(text):
    return Message(role=Role.USER, text=text)


def counted(**fields):
    return count_input(model="gpt-4o", **fields).token_count


@pytest.mark.parametrize(
    "more",
    [
        {"system_text": "w " * 100},
        {"messages": [text("w " * 100)]},
        {"messages": [Message(role=Role.TOOL, text="w " * 100, tool_call_id="c")]},
        {
            "messages": [
                Message(
                    role=Role.ASSISTANT,
                    tool_calls=(ToolCall(id="c", name="f", arguments_json='"' + "w " * 100 + '"'),),
                )
            ]
        },
        {"tools": [Tool(name="find", description="w " * 100)]},
        {"tools": [Tool(name="find", parameters_json_schema='{"title":"' + "w " * 100 + '"}')]},
        {
            "response_format": ResponseFormat(
                type=ResponseFormatType.JSON_SCHEMA, json_schema='{"title":"' + "w " * 100 + '"}'
            )
        },
        {"messages": [Message(role=Role.USER, image_urls=("https://example.org/a.png",))]},
    ],
)
def test_all_that_is_sent_counts(more):
    assert counted(**more) >= 100


def test_a_conversation_counts_as_its_provider_counts_it():
    # Recorded: gpt-4o-mini said 12 for these words alone.
    assert counted(messages=[text("Say this is a test")]) in range(8, 14)
    assert not count_input(model="gpt-4o", messages=[text("Hi")]).estimated


def test_claude_counts_more_tokens_than_the_nearest_vocabulary():
    words = "Ships lie at the quay. " * 200
    assert count_tokens(words, "claude-sonnet-5-5") > 1.1 * count_tokens(words, "gpt-4o")


def png(width, height):
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
    return "data:image/png;base64," + base64.b64encode(head).decode()


def jpeg(width, height):
    profile = b"\xff\xe2" + struct.pack(">H", 30_000) + bytes(29_998)
    head = b"\xff\xd8" + profile + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width)
    return "data:image/jpeg;base64," + base64.b64encode(head).decode()


def gif(width, height):
    head = b"GIF89a" + struct.pack("<HH", width, height)
    return "data:image/gif;base64," + base64.b64encode(head).decode()


def webp(width, height):
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    head = b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + size
    return "data:image/webp;base64," + base64.b64encode(head).decode()


@pytest.mark.parametrize("image", [png, jpeg, gif, webp])
def test_the_size_of_an_image_is_read_from_its_head(image):
    # OpenAI's page on vision: 1024 by 1024 is 765 tokens, 2048 by 4096 is 1,105.
    assert image_token_count(image(1024, 1024), "gpt-4o") == 765
    assert image_token_count(image(2048, 4096), "gpt-4o") == 1105
    # Anthropic's: 1,000 by 1,000 is about 1,334.
    assert image_token_count(image(1000, 1000), "claude-sonnet-5-5") == 1334
    assert image_token_count(image(300, 300), "gemini-2.5-flash") == 258


@pytest.mark.parametrize(
    "url",
    ["https://example.org/a.png", "data:image/png;base64,AAAA", "data:", png(0, 10), "data:x,%%%"],
)
def test_an_image_of_unknown_size_counts_as_a_large_one(url):
    assert image_token_count(url, "gpt-4o") == image_token_count(png(2048, 2048), "gpt-4o")


@given(st.binary(max_size=64), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF89a", b""]))
def test_no_image_breaks_the_count(data, magic):
    url = "data:image/x;base64," + base64.b64encode(magic + data).decode()
    assert image_token_count(url, "gpt-4o") > 0
