"""What only OpenAI's Responses API has; the rest is in the contract of all adapters."""

import pytest
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
from parley_services.model_router.providers.openai.responses_body import responses_body
from parley_services.model_router.providers.openai.responses_decoder import ResponsesDecoder
from parley_services.model_router.providers.provider import (
    Alternative,
    Finished,
    Logprobs,
    ModelTraits,
    ProviderCall,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
)

from tests.support.provider_server import sse
from tests.unit.model_router.conftest import request_for


def body_of(*, traits=None, **fields):
    traits = traits or ModelTraits(name="gpt-6.1-sol", max_output_token_count=512)
    return responses_body(ProviderCall(model=traits, request=request_for(**fields)))


def test_a_request_is_written_as_items():
    body = body_of(
        system_text="Be brief.",
        messages=(
            Message(role=Role.USER, text="Look", image_urls=("https://example.org/a.png",)),
            Message(
                role=Role.ASSISTANT,
                text="I look.",
                tool_calls=(ToolCall(id="c1", name="find", arguments_json='{"q":1}'),),
            ),
            Message(role=Role.TOOL, text="found", tool_call_id="c1"),
        ),
        parameters=SamplingParameters(
            temperature=0.5, top_p=0.9, max_output_token_count=64, stop_sequences=("END",), seed=7
        ),
        response_format=ResponseFormat(
            type=ResponseFormatType.JSON_SCHEMA,
            json_schema='{"type":"object","properties":{"a":{"type":"string"}}}',
        ),
        tools=(Tool(name="find", description="Finds.", parameters_json_schema='{"a":1}'),),
        tool_choice=ToolChoice(mode=ToolChoiceMode.NAMED, tool_name="find"),
        top_logprob_count=2,
    )
    assert body == {
        "model": "gpt-6.1-sol",
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": "https://example.org/a.png"},
                ],
            },
            {"role": "assistant", "content": "I look."},
            {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"q":1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "found"},
        ],
        "stream": True,
        "store": False,
        "max_output_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.9,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "answer",
                "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
                "strict": False,
            }
        },
        "tools": [
            {
                "type": "function",
                "name": "find",
                "strict": False,
                "description": "Finds.",
                "parameters": {"a": 1},
            }
        ],
        "tool_choice": {"type": "function", "name": "find"},
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
    }


def test_a_reasoning_model_gets_no_sampling_and_what_the_operator_adds():
    traits = ModelTraits(
        name="m",
        max_output_token_count=512,
        takes_sampling=False,
        extra_body={"reasoning": {"summary": "auto"}},
    )
    body = body_of(traits=traits, parameters=SamplingParameters(temperature=0.5, top_p=0.9))
    assert "temperature" not in body
    assert "top_p" not in body
    assert body["reasoning"] == {"summary": "auto"}


def test_json_of_any_shape_needs_the_word():
    assert (
        "JSON"
        in body_of(response_format=ResponseFormat(type=ResponseFormatType.JSON_OBJECT))[
            "instructions"
        ]
    )
    asked = (Message(role=Role.USER, text="Answer in json."),)
    assert "instructions" not in body_of(
        response_format=ResponseFormat(type=ResponseFormatType.JSON_OBJECT), messages=asked
    )


def decoded(*events):
    return ResponsesDecoder().feed(sse(*events))


def completed(**response):
    return {"type": "response.completed", "response": {"status": "completed", **response}}


def test_summaries_of_reasoning_are_paragraphs():
    delta = {"type": "response.reasoning_summary_text.delta", "output_index": 0}
    assert decoded(
        {"type": "response.reasoning_summary_part.added", "summary_index": 0},
        {**delta, "delta": "First."},
        {"type": "response.reasoning_summary_part.added", "summary_index": 1},
        {**delta, "delta": "Second."},
        completed(),
    ) == [ReasoningDelta("First.\n\nSecond."), Finished(FinishReason.STOP)]


def test_text_that_came_without_deltas_is_not_lost():
    item = {"type": "message", "content": [{"type": "output_text", "text": "whole"}]}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    assert decoded(done, completed()) == [TextDelta("whole"), Finished(FinishReason.STOP)]


def test_log_probabilities_follow_their_text():
    token = {
        "token": "Hi",
        "logprob": -0.5,
        "top_logprobs": [{"token": "Hi", "logprob": -0.5}, {"token": "Ho", "logprob": -1.5}],
    }
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}
    assert decoded({**delta, "logprobs": [token]}, completed()) == [
        TextDelta("Hi"),
        Logprobs(
            (
                TokenLogprob(
                    token="Hi",
                    logprob=-0.5,
                    top=(
                        Alternative(token="Hi", logprob=-0.5),
                        Alternative(token="Ho", logprob=-1.5),
                    ),
                ),
            )
        ),
        Finished(FinishReason.STOP),
    ]


def test_what_the_provider_runs_by_itself_is_passed_over():
    search = {"type": "web_search_call", "status": "completed", "id": "ws_1"}
    assert decoded(
        {"type": "response.web_search_call.searching", "output_index": 0},
        {"type": "response.output_item.done", "output_index": 0, "item": search},
        completed(),
    ) == [Finished(FinishReason.STOP)]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_output_tokens", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("something_new", FinishReason.OTHER),
    ],
)
def test_an_incomplete_answer_says_why(reason, finish):
    response = {"status": "incomplete", "incomplete_details": {"reason": reason}}
    assert decoded({"type": "response.incomplete", "response": response}) == [Finished(finish)]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (
            {"type": "error", "error": {"type": "x", "code": "insufficient_quota"}},
            FailureKind.QUOTA_EXHAUSTED,
        ),
        ({"type": "error", "code": "rate_limit_exceeded", "message": ""}, FailureKind.RATE_LIMITED),
        (
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "bio_policy", "message": ""}},
            },
            FailureKind.CONTENT_POLICY,
        ),
        (
            {"type": "response.failed", "response": {"status": "failed", "error": None}},
            FailureKind.SERVER_ERROR,
        ),
        ({"type": "response.completed", "response": {}}, FailureKind.MALFORMED),
        ({"type": "response.output_text.delta"}, FailureKind.MALFORMED),
    ],
)
def test_a_failure_in_the_stream_is_told_apart(event, kind):
    with pytest.raises(ProviderError) as caught:
        decoded(event)
    assert caught.value.kind is kind


def test_an_answer_in_one_piece_is_the_same():
    decoder = ResponsesDecoder()
    events = decoder.whole(
        b'{"id":"resp_1","status":"completed","output":[{"type":"reasoning","summary":'
        b'[{"text":"hm"}]},{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],'
        b'"usage":{"input_tokens":3,"output_tokens":2}}'
    )
    assert events == [ReasoningDelta("hm"), TextDelta("Hi"), Finished(FinishReason.STOP)]
    assert decoder.usage.input_token_count == 3
    assert decoder.response_id == "resp_1"
