"""What every adapter to a provider does, over real HTTP with recorded streams."""

import asyncio
import gzip
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx2
import pytest
import uvloop
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    ResponseFormatType,
    Role,
    SamplingParameters,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
)
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.http.guarded_transport import (
    ClientTransport,
    GuardedTransport,
)
from parley_services.model_router.providers.http.raw_stream import StreamLimits
from parley_services.model_router.providers.http.transport import StreamingTransport
from parley_services.model_router.providers.provider import (
    WROTE,
    Alive,
    Finished,
    Logprobs,
    ModelTraits,
    ProviderCall,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDone,
)

from tests.support.model_router import believed
from tests.support.provider_server import Reply, cut_every, provider_server, sse
from tests.support.provider_wires import USAGE, WIRES, error_bytes


@pytest.fixture(params=list(WIRES))
def wire(request):
    return WIRES[request.param]


@pytest.fixture(params=["own", "httpx2"], autouse=True)
def transport(request, monkeypatch):
    """Run each test over our own transport and over the one that serves behind a proxy."""
    inner = {"own": StreamingTransport, "httpx2": proxied}[request.param]
    monkeypatch.setitem(globals(), "transport_class", inner)


def proxied():
    return ClientTransport(httpx2.AsyncClient(trust_env=False))


transport_class = StreamingTransport


@asynccontextmanager
async def provider_for(wire, server, read_seconds=5.0, limits=None):
    guarded = GuardedTransport(transport_class(), max_error_bytes=10_000)
    client = httpx2.AsyncClient(timeout=httpx2.Timeout(read_seconds), transport=guarded)
    provider = wire.provider(server.url, client, limits)
    try:
        yield provider
    finally:
        await provider.aclose()


def call_for(**fields):
    fields.setdefault("messages", (Message(role=Role.USER, text="What is a quay?"),))
    return ProviderCall(
        model=ModelTraits(name="some-model", max_output_token_count=512),
        request=GenerationRequest(request_id="r1", **fields),
        api_key="sk-1",
    )


async def read_all(stream):
    """Return all events of *stream*, adjacent text joined however it came."""
    events = []
    try:
        while not events or not isinstance(events[-1], Finished):
            for event in await stream.read():
                if isinstance(event, Alive):
                    continue
                last = events[-1] if events else None
                if isinstance(event, TextDelta | ReasoningDelta) and type(event) is type(last):
                    events[-1] = type(event)(last.text + event.text)
                else:
                    events.append(event)
    finally:
        await stream.aclose()
    return events


async def answer_of(wire, *replies, call=None, limits=None):
    """Return the events of one call and the stream they came from."""
    async with (
        provider_server(*replies) as server,
        provider_for(wire, server, limits=limits) as provider,
    ):
        stream = await provider.open(call or call_for())
        return await read_all(stream), stream


async def failure_of(wire, *replies, read_seconds=5.0):
    """Return the error that one call ends with."""
    async with (
        provider_server(*replies) as server,
        provider_for(wire, server, read_seconds) as provider,
    ):
        with pytest.raises(ProviderError) as caught:
            await read_all(await provider.open(call_for()))
        return caught.value


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
async def test_an_answer_is_the_same_however_it_is_cut(wire, size):
    data = wire.answer("Grüße ", "from the 🚢 quay", finish=wire.finishes["stop"])
    reply = Reply(chunks=cut_every(data, size), headers={wire.request_id_header: "req_9"})
    events, stream = await answer_of(wire, reply)
    assert events == [TextDelta("Grüße from the 🚢 quay"), Finished(FinishReason.STOP)]
    assert believed(stream.usage) == USAGE
    assert stream.provider_request_id == "req_9"


def test_an_answer_is_the_same_on_uvloop(wire):
    data = wire.answer("Grüße ", "from the quay", finish=wire.finishes["stop"])
    events, _ = uvloop.run(answer_of(wire, Reply(chunks=cut_every(data, 50))))
    assert events == [TextDelta("Grüße from the quay"), Finished(FinishReason.STOP)]


async def test_text_that_comes_in_one_piece_is_returned_in_one_piece(wire):
    data = wire.answer("one ", "two ", "three", finish=wire.finishes["stop"])
    async with (
        provider_server(Reply(chunks=[data])) as server,
        provider_for(wire, server) as provider,
    ):
        stream = await provider.open(call_for())
        events = list(await stream.read())
        await stream.aclose()
    assert events == [TextDelta("one two three"), Finished(FinishReason.STOP)]


async def test_lines_may_end_in_crlf_and_comments_are_ignored(wire):
    data = wire.answer("hello", finish=wire.finishes["stop"])
    data = b": keep-alive\n\n" + data.replace(b"\n", b"\r\n")
    events, _ = await answer_of(wire, Reply(chunks=cut_every(data, 5)))
    assert events == [TextDelta("hello"), Finished(FinishReason.STOP)]


@pytest.mark.parametrize("size", [3, 100_000])
async def test_parallel_tool_calls_are_complete(wire, size):
    data = wire.answer(
        "Looking.",
        tools=[
            ("call_a", "find", ['{"q"', ': "qu', 'ay"}']),
            ("call_b", "ping", []),
            ("call_c", "add", ['{"a":', "1}"]),
        ],
        finish=wire.finishes["tool_call"],
    )
    events, _ = await answer_of(wire, Reply(chunks=cut_every(data, size)))
    assert events == [
        TextDelta("Looking."),
        ToolCallDone(ToolCall(id="call_a", name="find", arguments_json='{"q": "quay"}')),
        ToolCallDone(ToolCall(id="call_b", name="ping", arguments_json="{}")),
        ToolCallDone(ToolCall(id="call_c", name="add", arguments_json='{"a":1}')),
        Finished(FinishReason.TOOL_CALL),
    ]


async def test_a_tool_call_that_the_limit_cut_is_dropped(wire):
    data = wire.answer(tools=[("c", "find", ['{"q": "qu'])], finish=wire.finishes["length"])
    events, _ = await answer_of(wire, Reply(chunks=[data]))
    assert events == [Finished(FinishReason.LENGTH)]


async def test_tool_arguments_that_are_no_json_are_malformed(wire):
    data = wire.answer(tools=[("c", "find", ['{"q": qu}'])], finish=wire.finishes["tool_call"])
    assert (await failure_of(wire, Reply(chunks=[data]))).kind is FailureKind.MALFORMED


async def test_reasoning_is_apart_from_the_answer(wire):
    data = wire.answer("42", reasoning="Let me think.", finish=wire.finishes["stop"])
    events, _ = await answer_of(wire, Reply(chunks=[data]))
    assert events == [
        ReasoningDelta("Let me think."),
        TextDelta("42"),
        Finished(FinishReason.STOP),
    ]


@pytest.mark.parametrize("reason", list(FinishReason))
async def test_finish_reasons_mean_the_same(wire, reason):
    if reason.key not in wire.finishes:
        return
    refusal = "I cannot help with that." if reason is FinishReason.REFUSAL else ""
    tools = [("c", "f", ["{}"])] if reason is FinishReason.TOOL_CALL else ()
    data = wire.answer(refusal=refusal, tools=tools, finish=wire.finishes[reason.key])
    events, _ = await answer_of(wire, Reply(chunks=[data]))
    assert events[-1] == Finished(reason)
    if refusal:
        assert events[0] == TextDelta(refusal)


async def test_a_stream_without_a_finish_is_cut(wire):
    data = wire.answer("half an ans", finish=None, usage=False)
    assert (await failure_of(wire, Reply(chunks=[data]))).kind is FailureKind.CUT


async def test_a_dropped_connection_is_cut(wire):
    data = wire.answer("half an ans", finish=None, usage=False)
    assert (await failure_of(wire, Reply(chunks=[data, None]))).kind is FailureKind.CUT


SHORT_END = StreamLimits(end_seconds=0.05)


def without_end(wire, *texts, **answer):
    """Return an answer up to its reason and usage, without the event that closes it."""
    data = wire.answer(*texts, finish=wire.finishes["stop"], **answer)
    if wire is WIRES["responses"]:
        return data  # Its reason is in the event that closes it.
    return data[: data.rstrip().rfind(b"\n\n") + 2]


@pytest.mark.parametrize("ending", ["body ends", "connection breaks", "silence", "nonsense"])
async def test_after_the_reason_an_answer_is_whole_whatever_comes(wire, ending):
    data = without_end(wire, "Whole answer.")
    reply = {
        "body ends": Reply(chunks=[data]),
        "connection breaks": Reply(chunks=[data, None]),
        "silence": Reply(chunks=[data], hangs=True),
        "nonsense": Reply(chunks=[data, b"data: {nonsense\n\n"]),
    }[ending]
    events, stream = await answer_of(wire, reply, limits=SHORT_END)
    assert events == [TextDelta("Whole answer."), Finished(FinishReason.STOP)]
    assert believed(stream.usage) == USAGE


async def test_after_the_reason_comments_keep_no_answer(wire):
    async def chat_for_ever(reader, writer):
        while True:
            writer.write(b"9\r\n: ping \n\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    reply = Reply(chunks=[without_end(wire, "Whole answer.")], then=chat_for_ever)
    events, _ = await answer_of(wire, reply, limits=SHORT_END)
    assert events == [TextDelta("Whole answer."), Finished(FinishReason.STOP)]


async def test_arguments_that_come_slowly_show_that_the_stream_lives(wire):
    arguments = ['{"text": "', "a long ", 'file"}']
    data = wire.answer(tools=[("c", "write", arguments)], finish=wire.finishes["tool_call"])
    frames = data.split(b"\n\n")
    async with (
        provider_server(Reply(chunks=[frame + b"\n\n" for frame in frames])) as server,
        provider_for(wire, server) as provider,
    ):
        stream = await provider.open(call_for())
        batches, unfinished = [], []
        while not batches or not isinstance(batches[-1][-1], Finished):
            batches.append(await stream.read())
            unfinished.append(stream.unfinished)
        await stream.aclose()
    assert WROTE in [event for batch in batches for event in batch]
    assert '{"text": "a long ' in unfinished or '{"text": "a long file"}' in unfinished
    assert unfinished[-1] == ""


async def test_an_unknown_reason_is_passed_on(wire):
    data = wire.answer("Half", finish="tired")
    events, _ = await answer_of(wire, Reply(chunks=[data]))
    assert events == [TextDelta("Half"), Finished(FinishReason.OTHER)]
    assert events[-1].provider_reason == "tired"


async def test_more_bytes_than_an_answer_may_have_are_not_read(wire):
    limits = StreamLimits(max_stream_bytes=10_000)
    data = wire.answer("half", finish=None, usage=False)

    async def write_for_ever(reader, writer):
        while True:
            writer.write(b"400\r\n%s\r\n" % (b": " + b"x" * 1020 + b"\n\n"))
            await writer.drain()

    reply = Reply(chunks=[data], then=write_for_ever)
    async with (
        provider_server(reply) as server,
        provider_for(wire, server, limits=limits) as provider,
    ):
        with pytest.raises(ProviderError) as caught:
            await read_all(await provider.open(call_for()))
    assert caught.value.kind is FailureKind.MALFORMED


async def test_an_error_in_the_middle_says_what_it_is(wire):
    data = wire.answer("half an ans", finish=None, usage=False) + wire.error_frame
    assert (await failure_of(wire, Reply(chunks=[data]))).kind is FailureKind.OVERLOADED


@pytest.mark.parametrize("frame", [b"data: {nonsense\n\n", b"data: []\n\n", b"data: 7\n\n"])
async def test_a_frame_that_cannot_be_read_is_malformed(wire, frame):
    data = wire.answer("half", finish=None, usage=False) + frame
    assert (await failure_of(wire, Reply(chunks=[data]))).kind is FailureKind.MALFORMED


async def test_a_silent_stream_is_stalled(wire):
    data = wire.answer("half", finish=None, usage=False)
    error = await failure_of(wire, Reply(chunks=[data], hangs=True), read_seconds=0.1)
    assert error.kind is FailureKind.STALLED


@pytest.mark.parametrize(
    ("status", "type_", "message", "kind"),
    [
        (400, "invalid_request_error", "Bad field.", FailureKind.INVALID_REQUEST),
        (400, "invalid_request_error", "prompt is too long: 9 > 8", FailureKind.CONTEXT_TOO_LONG),
        (400, "context_length_exceeded", "", FailureKind.CONTEXT_TOO_LONG),
        (400, "content_filter", "", FailureKind.CONTENT_POLICY),
        (400, "invalid_request_error", "Your credit balance is low", FailureKind.QUOTA_EXHAUSTED),
        (401, "authentication_error", "", FailureKind.KEY_REFUSED),
        (403, "permission_error", "", FailureKind.FORBIDDEN),
        (404, "not_found_error", "", FailureKind.MODEL_NOT_FOUND),
        (404, "invalid_request_error", "no such model", FailureKind.MODEL_NOT_FOUND),
        (413, "request_too_large", "", FailureKind.CONTEXT_TOO_LONG),
        (429, "rate_limit_error", "", FailureKind.RATE_LIMITED),
        (429, "insufficient_quota", "", FailureKind.QUOTA_EXHAUSTED),
        (500, "api_error", "", FailureKind.SERVER_ERROR),
        (503, "overloaded", "", FailureKind.OVERLOADED),
        (529, "overloaded_error", "", FailureKind.OVERLOADED),
    ],
)
async def test_refusals_are_told_apart(wire, status, type_, message, kind):
    body = error_bytes(wire, type_, message)
    reply = Reply(chunks=[body], status=status, content_type="application/json")
    async with provider_server(reply) as server, provider_for(wire, server) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.open(call_for())
        # The SDK's own retries are off: the router is the one that retries.
        assert len(server.requests) == 1
    assert caught.value.kind is kind


async def write_for_ever(reader, writer):
    while True:
        writer.write(b"400\r\n%s\r\n" % (b"x" * 1024))
        await writer.drain()


@pytest.mark.parametrize("status", [429, 500])
async def test_an_error_without_an_end_is_cut_off(wire, status):
    reply = Reply(
        chunks=[b'{"error": {"message": "'],
        status=status,
        content_type="application/json",
        then=write_for_ever,
    )
    error = await failure_of(wire, reply)
    assert error.kind in (FailureKind.RATE_LIMITED, FailureKind.SERVER_ERROR)


async def test_a_compressed_error_is_not_unpacked(wire):
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 60_000
    reply = Reply(chunks=[bomb], status=500, headers={"content-encoding": "gzip"})
    assert (await failure_of(wire, reply)).kind is FailureKind.SERVER_ERROR


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: lots",
        b"content-length: -1",
        b"content-length: 5\r\ncontent-length: 6",
        b"content-length: " + b"9" * 40,
        b"no colon",
    ],
)
async def test_a_head_that_is_wrong_fails_that_call_alone(wire, head):
    raw = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + head + b"\r\n\r\nhello"
    answer = wire.answer("hello", finish=wire.finishes["stop"])
    async with (
        provider_server(Reply(raw=raw), Reply(chunks=[answer])) as server,
        provider_for(wire, server) as provider,
    ):
        with pytest.raises(ProviderError):
            await read_all(await provider.open(call_for()))
        events = await read_all(await provider.open(call_for()))
    assert events[0] == TextDelta("hello")


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_on_the_same_host_is_followed(wire, status):
    answer = wire.answer("hello", finish=wire.finishes["stop"])
    moved = Reply(status=status, headers={"location": "/elsewhere?x=1"})
    async with (
        provider_server(moved, Reply(chunks=[answer])) as server,
        provider_for(wire, server) as provider,
    ):
        events = await read_all(await provider.open(call_for()))
    assert events[0] == TextDelta("hello")
    first, second = server.requests
    assert second.path == "/elsewhere?x=1"
    assert second.body == first.body
    assert second.headers == first.headers


async def test_a_redirect_to_another_host_does_not_get_the_key(wire):
    async with provider_server(Reply(chunks=[b""])) as other:
        moved = Reply(status=307, headers={"location": f"{other.url}/v1"})
        error = await failure_of(wire, moved)
        assert error.kind is FailureKind.MODEL_NOT_FOUND
        assert not other.requests


async def test_redirects_in_a_circle_end(wire):
    error = await failure_of(wire, Reply(status=308, headers={"location": "/round"}))
    assert error.kind is FailureKind.MODEL_NOT_FOUND


async def test_a_refusal_without_json_is_known_by_its_status(wire):
    reply = Reply(chunks=[b"<html>Bad gateway"], status=502, content_type="text/html")
    assert (await failure_of(wire, reply)).kind is FailureKind.SERVER_ERROR


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
async def test_retry_after_is_read(wire, headers, seconds):
    body = error_bytes(wire, "rate_limit_error")
    error = await failure_of(
        wire,
        Reply(chunks=[body], status=429, headers=headers, content_type="application/json"),
    )
    assert error.failure.retry_after_seconds == seconds


async def test_no_server_is_a_failed_connection(wire):
    async with provider_server() as server:
        gone = server
    async with provider_for(wire, gone) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.open(call_for())
    assert caught.value.kind is FailureKind.CONNECT_FAILED


async def test_an_answer_that_does_not_begin_is_too_slow(wire):
    async with (
        provider_server(Reply(hangs=True)) as server,
        provider_for(wire, server, read_seconds=0.1) as provider,
    ):
        stream = await provider.open(call_for())
        with pytest.raises(ProviderError):
            await stream.read()
        await stream.aclose()


async def test_closing_early_hangs_up(wire):
    data = wire.answer("half", finish=None, usage=False)
    async with (
        provider_server(Reply(chunks=[data], hangs=True)) as server,
        provider_for(wire, server) as provider,
    ):
        stream = await provider.open(call_for())
        await stream.read()
        await stream.aclose()
        await asyncio.wait_for(server.hung_up.wait(), 10)


async def test_connections_are_used_again(wire):
    data = wire.answer("hello", finish=wire.finishes["stop"])
    async with (
        provider_server(Reply(chunks=[data])) as server,
        provider_for(wire, server) as provider,
    ):
        connections = set()
        serve_one = server._serve_one

        async def counting(reader, writer):
            connections.add(writer.get_extra_info("peername"))
            return await serve_one(reader, writer)

        server._serve_one = counting
        for _ in range(3):
            stream = await provider.open(call_for())
            while not isinstance((await stream.read())[-1], Finished):
                pass
            await stream.aclose()
    assert len(server.requests) == 3
    assert len(connections) == 1


async def test_stop_sequences_that_the_server_does_not_take_are_kept_by_us(wire):
    data = wire.answer("one\n", "\ntwo", finish=None, usage=False)
    call = call_for(parameters=SamplingParameters(stop_sequences=("\n\n",)))
    call = replace(call, model=replace(call.model, takes_sampling=False))
    reply = Reply(chunks=[data], hangs=True)
    async with provider_server(reply) as server, provider_for(wire, server) as provider:
        stream = await provider.open(call)
        assert await read_all(stream) == [TextDelta("one"), Finished(FinishReason.STOP)]
        # The rest of the answer would cost money too.
        await asyncio.wait_for(server.hung_up.wait(), 10)
    assert not {"stop", "stop_sequences"} & set(server.requests[0].body)


FULL = {
    "system_text": "Be brief.",
    "messages": (
        Message(role=Role.USER, text="Look", image_urls=("https://example.org/a.png",)),
        Message(
            role=Role.ASSISTANT,
            tool_calls=(ToolCall(id="c1", name="find", arguments_json='{"q":1}'),),
        ),
        Message(role=Role.TOOL, text="found", tool_call_id="c1"),
    ),
    "parameters": SamplingParameters(
        temperature=0.5, top_p=0.9, max_output_token_count=64, stop_sequences=("END",), seed=7
    ),
    "response_format": ResponseFormat(
        type=ResponseFormatType.JSON_SCHEMA,
        json_schema='{"type":"object","properties":{"a":{"type":"string"}}}',
    ),
    "tools": (Tool(name="find", description="Finds.", parameters_json_schema='{"type":"object"}'),),
    "tool_choice": ToolChoice(mode=ToolChoiceMode.NAMED, tool_name="find"),
}


async def request_of(wire, **fields):
    data = wire.answer("x", finish=wire.finishes["stop"])
    async with (
        provider_server(Reply(chunks=[data])) as server,
        provider_for(wire, server) as provider,
    ):
        await (await provider.open(call_for(**fields))).aclose()
        return server.requests[0]


async def test_the_request_for_chat_completions():
    request = await request_of(WIRES["chat"], **FULL)
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.body == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "find", "arguments": '{"q":1}'},
                    }
                ],
            },
            {"role": "tool", "content": "found", "tool_call_id": "c1"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
                "strict": False,
            },
        },
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "find",
                    "description": "Finds.",
                    "parameters": {"type": "object"},
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
    }


async def test_a_request_for_log_probabilities_and_json_of_any_shape():
    fields = {
        "top_logprob_count": 3,
        "response_format": ResponseFormat(type=ResponseFormatType.JSON_OBJECT),
        "system_text": "Be brief.",
    }
    body = (await request_of(WIRES["chat"], **fields)).body
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)
    # OpenAI refuses the form where no message has the word.
    assert "JSON" in body["messages"][0]["content"]


async def test_the_request_for_messages():
    request = await request_of(WIRES["messages"], **FULL)
    assert request.path == "/v1/messages"
    assert "sk-1" in request.headers.get("authorization", request.headers.get("x-api-key", ""))
    assert request.body == {
        "model": "some-model",
        "max_tokens": 64,
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "url", "url": "https://example.org/a.png"},
                    },
                    {"type": "text", "text": "Look"},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c1", "name": "find", "input": {"q": 1}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "found"}],
            },
        ],
        "stream": True,
        "stop_sequences": ["END"],
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
            }
        },
        "tools": [{"name": "find", "description": "Finds.", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "find"},
    }


async def test_log_probabilities_of_chat_completions():
    token = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": [token]}}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    reply = Reply(chunks=[sse({"choices": [choice]}, {"choices": [end]}, "[DONE]")])
    events, _ = await answer_of(WIRES["chat"], reply, call=call_for(top_logprob_count=0))
    assert events == [
        TextDelta("Hi"),
        Logprobs((TokenLogprob(token="Hi", logprob=-0.5),)),
        Finished(FinishReason.STOP),
    ]
