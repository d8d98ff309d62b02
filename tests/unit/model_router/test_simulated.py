import asyncio
import json

import jsonschema_rs
import pytest
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    ResponseFormatType,
    Role,
    SamplingParameters,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from parley_services.model_router.attempt.failures import ProviderError
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.provider import (
    Finished,
    ModelTraits,
    ProviderCall,
    TextDelta,
    ToolCallDone,
)
from parley_services.model_router.providers.simulated.answers import Script
from parley_services.model_router.providers.simulated.json_example import example_of
from parley_services.model_router.providers.simulated.simulated_provider import (
    SimulatedBehaviour,
    SimulatedProvider,
)

from tests.support.clock import ManualClock

SCRIPT = Script.load()


async def events_of(behaviour=None, *, attempt_number=1, model="gpt-4o", **fields):
    text = fields.pop("text", "What is the capital of France?")
    fields.setdefault("messages", (Message(role=Role.USER, text=text),))
    provider = SimulatedProvider(behaviour or SimulatedBehaviour(), SCRIPT)
    call = ProviderCall(
        model=ModelTraits(name=model, max_output_token_count=100),
        request=GenerationRequest(request_id=fields.pop("request_id", "r1"), **fields),
        attempt_number=attempt_number,
    )
    stream = await provider.open(call)
    events = []
    while not events or not isinstance(events[-1], Finished):
        events += await stream.read()
    return events


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_common_questions_have_an_answer_and_it_comes_word_by_word():
    events = await events_of()
    assert text_of(events).startswith("The capital of France is Paris.")
    assert len(events) > 10


async def test_another_question_is_answered_too():
    assert "quays" in text_of(await events_of(text="How deep are quays?"))


async def outcome(number, behaviour, attempt_number=1):
    try:
        return text_of(
            await events_of(behaviour, request_id=f"r{number}", attempt_number=attempt_number)
        )
    except ProviderError as error:
        return error.kind


async def test_failures_come_as_often_as_asked_and_the_same_each_run():
    behaviour = SimulatedBehaviour(seed=3, failure_rate=0.15, cut_rate=0.05)
    runs = [[await outcome(n, behaviour) for n in range(400)] for _ in range(2)]
    assert runs[0] == runs[1]
    failed = sum(each not in ("cut",) and each in _KINDS for each in runs[0])
    assert 40 <= failed <= 80
    assert 8 <= runs[0].count("cut") <= 35
    assert await outcome(1, SimulatedBehaviour(seed=3)) not in _KINDS


_KINDS = {"overloaded", "server_error", "rate_limited", "connect_failed", "cut"}


async def test_a_model_can_be_made_to_fail():
    behaviour = SimulatedBehaviour(failing_models=frozenset({"gpt-4o"}))
    with pytest.raises(ProviderError):
        await events_of(behaviour)
    assert text_of(await events_of(behaviour, model="gpt-4o-mini"))


async def test_time_passes_as_asked():
    pauses = []
    clock = ManualClock()

    async def sleep(seconds):
        pauses.append(seconds)
        clock.advance(seconds)

    behaviour = SimulatedBehaviour(first_token_seconds=1, token_seconds=0.5, answer="a b c")
    provider = SimulatedProvider(behaviour, SCRIPT, clock=clock, sleep=sleep)
    call = ProviderCall(
        model=ModelTraits(name="m", max_output_token_count=9),
        request=GenerationRequest(request_id="r", messages=(Message(role=Role.USER, text="x"),)),
    )
    stream = await provider.open(call)
    while not isinstance((await stream.read())[-1], Finished):
        pass
    assert 0.7 <= pauses[0] <= 1.3
    assert pauses[1:] == [0, 0.5, 0.5, 0.5]


async def test_limits_and_stop_sequences_hold():
    short = await events_of(parameters=SamplingParameters(max_output_token_count=3))
    assert short[-1] == Finished(FinishReason.LENGTH)
    assert len(short) == 4
    stopped = await events_of(parameters=SamplingParameters(stop_sequences=("Paris",)))
    assert text_of(stopped) == "The capital of France is "


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}},
        {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2},
        {"$ref": "#/$defs/P", "$defs": {"P": {"type": "object", "required": ["q"]}}},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
    ],
)
async def test_json_answers_fit_their_schema(schema):
    events = await events_of(
        response_format=ResponseFormat(
            type=ResponseFormatType.JSON_SCHEMA, json_schema=json.dumps(schema)
        )
    )
    jsonschema_rs.validate(schema, json.loads(text_of(events)))


async def test_a_tool_that_the_question_is_about_is_called():
    tools = (Tool(name="get_weather", parameters_json_schema='{"type":"object"}'),)
    events = await events_of(text="How is the weather?", tools=tools)
    assert isinstance(events[0], ToolCallDone)
    assert events[-1] == Finished(FinishReason.TOOL_CALL)
    assert text_of(await events_of(tools=tools))
    forced = await events_of(tools=tools, tool_choice=ToolChoice(mode=ToolChoiceMode.REQUIRED))
    assert isinstance(forced[0], ToolCallDone)


async def test_a_stream_can_fall_silent():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await events_of(SimulatedBehaviour(stall_rate=1.0))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9, "items": {"type": "string", "minLength": 10**9}},
        {"required": ["a"], "properties": {"a": {"type": "array", "minItems": 1e9}}},
        {"$defs": {"a": {"type": "array", "minItems": 99, "items": {"$ref": "#/$defs/a"}}},
         "$ref": "#/$defs/a"},
        {"type": "string", "minLength": "many"},
        {"type": "object", "properties": {f"p{n}": {"minItems": 9} for n in range(5000)}},
    ],
)  # fmt: skip
def test_an_example_is_small_whatever_the_schema_asks_for(schema):
    assert len(example_of(json.dumps(schema))) < 200_000
