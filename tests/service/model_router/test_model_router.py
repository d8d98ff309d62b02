import asyncio

import grpc
import pytest
from parley.chat.v1 import answer_pb2, attempt_pb2, message_pb2, usage_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc
from parley_services.cli.models import resting_keys
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.message import ToolCall
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import InvalidArgument, NotFound, ProviderUnavailable
from parley_services.kit.rpc.interceptors import interceptors_for_tcp
from parley_services.kit.rpc.peers import channel_options
from parley_services.kit.rpc.status import service_error_of
from parley_services.model_router.app import open_model_router
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.provider import (
    Alternative,
    Finished,
    Logprobs,
    ReasoningDelta,
    TokenLogprob,
    ToolCallDone,
)
from parley_services.model_router.settings import ModelRouterSettings

from tests.support.model_router import HANG, STOP, ScriptedProvider
from tests.support.serving import TRANSPORTS, served
from tests.support.waiting import until


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def settings():
    return ModelRouterSettings(
        simulate="never", simulated_first_token_seconds=0, simulated_token_seconds=0
    )


@pytest.fixture
def anthropic():
    return ScriptedProvider(["Hel", "lo"], usage=Usage(input_token_count=7, output_token_count=2))


@pytest.fixture
def openai():
    return ScriptedProvider(["Hello"])


@pytest.fixture
async def stub(transport, settings, anthropic, openai):
    providers = {"anthropic": anthropic, "openai": openai}

    async def sleep(seconds):
        await asyncio.sleep(0)

    async with (
        open_model_router(settings, providers=providers, sleep=sleep) as register,
        served(transport, register) as channel,
    ):
        yield pb_grpc.ModelRouterServiceStub(channel)


def request_for(text="What is a quay?", **fields):
    return pb.GenerateRequest(
        request_id="r1",
        messages=[message_pb2.Message(role=message_pb2.ROLE_USER, text=text)],
        **fields,
    )


async def events_of(call):
    return [event async for event in call]


def kinds(events):
    """Return the kinds of *events*; text after text is one."""
    names = [event.WhichOneof("event") for event in events]
    return [
        name for n, name in enumerate(names) if n == 0 or name != "text" or names[n - 1] != "text"
    ]


async def test_an_answer(stub):
    events = await events_of(stub.Generate(request_for(), timeout=10))
    assert kinds(events) == ["route", "text", "attempt", "completed"]
    assert "".join(event.text for event in events) == "Hello"
    assert events[0].route == pb.GenerateResponse.RouteChosen(
        provider="anthropic",
        model="claude-sonnet-5-5",
        reason=pb.ROUTE_REASON_PRIORITY,
        attempt_number=1,
    )
    attempt = events[-2].attempt
    assert (attempt.number, attempt.model) == (1, "claude-sonnet-5-5")
    assert attempt.kind == attempt_pb2.ATTEMPT_KIND_PRIMARY
    assert attempt.outcome == attempt_pb2.ATTEMPT_OUTCOME_SUCCEEDED
    assert attempt.price_version.startswith("genai-prices-")
    assert attempt.HasField("first_token_latency")
    completed = events[-1].completed
    assert completed.finish_reason == answer_pb2.FINISH_REASON_STOP
    assert completed.usage == usage_pb2.Usage(input_token_count=7, output_token_count=2)
    assert completed.cost_nano_usd == attempt.cost_nano_usd == 7 * 2000 + 2 * 10_000


class TestEverythingThatAStreamCanHold:
    @pytest.fixture
    def anthropic(self):
        return ScriptedProvider(
            [
                ReasoningDelta("hm"),
                "Let me look.",
                ToolCallDone(ToolCall(id="c1", name="find", arguments_json='{"q":1}')),
                Finished(FinishReason.TOOL_CALL),
            ]
        )

    async def test_is_passed_on(self, stub):
        events = await events_of(stub.Generate(request_for(), timeout=10))
        assert kinds(events) == [
            "route", "reasoning", "text", "tool_call", "attempt", "completed",
        ]  # fmt: skip
        call = next(e.tool_call for e in events if e.WhichOneof("event") == "tool_call")
        assert (call.id, call.name, call.arguments_json) == ("c1", "find", '{"q":1}')
        assert events[-1].completed.finish_reason == answer_pb2.FINISH_REASON_TOOL_CALL


class TestLogProbabilities:
    @pytest.fixture
    def openai(self):
        top = (Alternative(token="Hi", logprob=-0.25), Alternative(token="Ho", logprob=-2.0))
        return ScriptedProvider(
            ["Hi", Logprobs((TokenLogprob(token="Hi", logprob=-0.25, top=top),)), STOP]
        )

    async def test_come_where_they_are_asked_for(self, stub):
        request = request_for(model="gpt-4o", top_logprob_count=2)
        events = await events_of(stub.Generate(request, timeout=10))
        assert kinds(events) == ["route", "text", "logprobs", "attempt", "completed"]
        [token] = events[2].logprobs.tokens
        assert (token.token, token.logprob) == ("Hi", -0.25)
        assert [(each.token, each.logprob) for each in token.top] == [("Hi", -0.25), ("Ho", -2.0)]


class TestTheFirstProviderFails:
    @pytest.fixture
    def anthropic(self):
        return ScriptedProvider([FailureKind.OVERLOADED])

    async def test_the_second_answers(self, stub):
        events = await events_of(stub.Generate(request_for(), timeout=10))
        assert kinds(events) == ["route", "attempt", "switched", "text", "attempt", "completed"]
        switched = events[2].switched
        assert (switched.from_model, switched.to_model) == ("claude-sonnet-5-5", "gpt-4o")
        assert (switched.reason, switched.restarts) == ("overloaded", False)
        assert events[1].attempt.error_kind == "overloaded"
        assert events[-1].completed.model == "gpt-4o"


class TestAllProvidersFail:
    @pytest.fixture
    def anthropic(self):
        return ScriptedProvider([ProviderError(FailureKind.RATE_LIMITED, retry_after_seconds=30)])

    @pytest.fixture
    def openai(self):
        return ScriptedProvider([FailureKind.QUOTA_EXHAUSTED])

    async def test_the_caller_learns_when_to_come_back(self, stub):
        events = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for event in stub.Generate(request_for(), timeout=10):
                events.append(event)
        error = service_error_of(caught.value)
        assert isinstance(error, ProviderUnavailable)
        assert 29 < error.retry_after_seconds <= 30
        assert error.metadata["cached_answer"] == "allowed"
        # The key of an empty account rests, so its second model is not asked.
        assert kinds(events).count("attempt") == 2


class TestTheProviderFallsSilent:
    @pytest.fixture
    def anthropic(self):
        return ScriptedProvider(["one ", HANG])

    async def test_a_cancel_reaches_the_provider(self, stub, anthropic):
        call = stub.Generate(request_for(), timeout=30)
        while (event := await call.read()).text != "one ":
            assert event is not grpc.aio.EOF
        call.cancel()
        await until(lambda: anthropic.open_streams == 0)

    async def test_a_deadline_ends_the_call_with_its_booking(self, stub, anthropic):
        events = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for event in stub.Generate(request_for(), timeout=1):
                events.append(event)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert kinds(events) == ["route", "text", "attempt"]
        attempt = events[-1].attempt
        assert attempt.outcome == attempt_pb2.ATTEMPT_OUTCOME_CANCELLED
        assert attempt.usage.estimated
        assert attempt.cost_nano_usd > 0
        await until(lambda: anthropic.open_streams == 0)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GenerateRequest(), "messages"),
        (pb.GenerateRequest(messages=[message_pb2.Message()]), "messages[0].role"),
        (request_for(kind=attempt_pb2.ATTEMPT_KIND_HEDGE), "kind"),
        (request_for(mid_stream_policy=9), "mid_stream_policy"),
        (request_for(first_attempt_number=-1), "first_attempt_number"),
        (request_for(top_logprob_count=21), "top_logprob_count"),
        (
            request_for(parameters=message_pb2.SamplingParameters(temperature=3)),
            "parameters.temperature",
        ),
        (request_for(parameters=message_pb2.SamplingParameters(top_p=0)), "parameters.top_p"),
        (
            request_for(parameters=message_pb2.SamplingParameters(max_output_token_count=0)),
            "parameters.max_output_token_count",
        ),
        (
            request_for(parameters=message_pb2.SamplingParameters(stop_sequences=[""])),
            "parameters.stop_sequences[0]",
        ),
        (request_for(response_format=message_pb2.ResponseFormat(type=9)), "response_format.type"),
        (
            request_for(
                response_format=message_pb2.ResponseFormat(
                    type=message_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA, json_schema="{"
                )
            ),
            "response_format.json_schema",
        ),
        (request_for(tools=[message_pb2.Tool()]), "tools[0].name"),
        (
            request_for(tools=[message_pb2.Tool(name="a", parameters_json_schema="[")]),
            "tools[0].parameters_json_schema",
        ),
        (
            request_for(
                tool_choice=message_pb2.ToolChoice(
                    mode=message_pb2.TOOL_CHOICE_MODE_NAMED, tool_name="x"
                )
            ),
            "tool_choice.tool_name",
        ),
        (
            pb.GenerateRequest(
                messages=[
                    message_pb2.Message(
                        role=message_pb2.ROLE_USER,
                        images=[message_pb2.Image(url="file:///etc/passwd")],
                    )
                ]
            ),
            "messages[0].images[0].url",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_field_is_named(stub, request_, field):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await events_of(stub.Generate(request_, timeout=10))
    error = service_error_of(caught.value)
    assert isinstance(error, InvalidArgument)
    assert [violation.field for violation in error.violations] == [field]


async def test_an_unknown_model_is_not_found(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await events_of(stub.Generate(request_for(model="gpt-17"), timeout=10))
    error = service_error_of(caught.value)
    assert isinstance(error, NotFound)
    assert error.metadata == {"resource_type": "model", "resource_name": "gpt-17"}


async def test_models_are_listed_with_prices(stub):
    listed = await stub.ListModels(pb.ListModelsRequest(), timeout=10)
    models = {model.name: model for model in listed.models}
    assert list(models) == sorted(models)
    mini = models["gpt-4o-mini"]
    assert (mini.provider, mini.HasField("price")) == ("openai", True)
    assert mini.price.rates.input_nano_usd_per_million == 150_000_000
    assert mini.price.rates.cached_input_nano_usd_per_million == 75_000_000
    assert mini.price.rates.output_nano_usd_per_million == 600_000_000
    assert mini.context_token_count == 128_000
    assert "tools" in mini.features
    groups = {group.name: list(group.models) for group in listed.groups}
    assert groups["default"] == ["claude-sonnet-5-5", "gpt-4o", "gpt-4o-mini"]


async def test_tokens_are_counted(stub):
    counted = await stub.CountTokens(
        pb.CountTokensRequest(model="gpt-4o", texts=["Hello there", ""]), timeout=10
    )
    assert (list(counted.token_counts), counted.estimated) == ([2, 0], False)
    counted = await stub.CountTokens(pb.CountTokensRequest(texts=["Hello there"]), timeout=10)
    assert counted.estimated


async def test_too_much_text_is_not_counted(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CountTokens(pb.CountTokensRequest(texts=["x" * 1_048_577]), timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


class TestWithoutAnyKey:
    @pytest.fixture
    async def stub(self, transport):
        settings = ModelRouterSettings(simulated_first_token_seconds=0, simulated_token_seconds=0)
        async with (
            open_model_router(settings) as register,
            served(transport, register) as channel,
        ):
            yield pb_grpc.ModelRouterServiceStub(channel)

    async def test_the_simulated_provider_answers(self, stub):
        request = request_for("What is the capital of France?")
        events = await events_of(stub.Generate(request, timeout=10))
        assert events[0].route.provider == "simulated"
        assert "Paris" in "".join(event.text for event in events)
        completed = events[-1].completed
        assert completed.cost_nano_usd > 0
        assert not completed.usage.estimated

    async def test_a_fallback_can_be_shown(self, stub):
        request = request_for("hello", model="demo-failing-first")
        events = await events_of(stub.Generate(request, timeout=10))
        assert kinds(events) == ["route", "attempt", "switched", "text", "attempt", "completed"]
        assert events[2].switched.to_model == "gpt-4o"


async def test_a_config_need_not_name_the_simulated_provider(tmp_path):
    config = tmp_path / "router.yaml"
    config.write_text(
        "default_group: default\n"
        'providers: {mine: {kind: openai_compatible, base_url: "http://127.0.0.1:1/v1"}}\n'
        "models: {m: {provider: mine, context: 1000, max_output: 100}}\n"
        "groups: {default: [m]}\n"
    )
    prices = tmp_path / "prices.yaml"
    prices.write_text("prices: [{provider: mine, model: m, input: 1, output: 2}]\n")
    settings = ModelRouterSettings(config_path=config, prices_path=prices)
    async with (
        open_model_router(settings) as register,
        served("in_process", register) as channel,
    ):
        stub = pb_grpc.ModelRouterServiceStub(channel)
        listed = await stub.ListModels(pb.ListModelsRequest(), timeout=60)
    assert [(model.name, model.provider) for model in listed.models] == [("m", "mine")]


class DiesOnce(grpc.aio.ServerInterceptor):
    """Lets the first call fail as if its process had died before it could answer."""

    def __init__(self):
        self._has_died = False

    async def intercept_service(self, continuation, details):
        if self._has_died:
            return await continuation(details)
        self._has_died = True

        async def die(request, context):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

        return grpc.unary_stream_rpc_method_handler(
            die, request_deserializer=pb.GenerateRequest.FromString
        )


async def test_a_call_that_grpc_sends_again_numbers_its_attempts_apart(settings, openai):
    providers = {"openai": openai}
    async with open_model_router(settings, providers=providers) as register:
        server = grpc.aio.server(interceptors=(DiesOnce(), *interceptors_for_tcp()))
        register(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        options = channel_options(retries=True)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            stub = pb_grpc.ModelRouterServiceStub(channel)
            events = await events_of(stub.Generate(request_for(first_attempt_number=3)))
        await server.stop(None)
    numbers = {event.attempt.number for event in events if event.HasField("attempt")}
    assert numbers == {10_003}


class TestAKeyThatRests:
    @pytest.fixture
    def anthropic(self):
        return ScriptedProvider([FailureKind.KEY_REFUSED])

    async def test_it_is_named_with_why_and_until_when(self, stub):
        await events_of(stub.Generate(request_for(), timeout=10))
        listed = await stub.ListModels(pb.ListModelsRequest(), timeout=10)
        keys = {each.name: list(each.keys) for each in listed.providers}
        [refused] = keys["anthropic"]
        assert refused.rest_reason == "key_refused"
        assert refused.HasField("retry_time")
        [line] = resting_keys(listed)
        assert line.startswith("anthropic: key without a name rests (key_refused), tried again at")
        assert [each.rest_reason for each in keys["openai"]] == [""]
