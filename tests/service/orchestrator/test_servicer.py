"""The orchestrator's gRPC face over both transports, with its peers by hand behind it."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from parley.chat.v1 import answer_pb2, finding_pb2, message_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from parley_services.kit.chat.message import ToolCall
from parley_services.kit.log import add_request
from parley_services.orchestrator.servicer import OrchestratorServicer
from parley_services.orchestrator.turn_service import TurnService
from parley_services.orchestrator.values.records import Settlement
from parley_services.orchestrator.values.router import ToolCallMade
from structlog.testing import capture_logs

from tests.support.serving import TRANSPORTS, served
from tests.support.turns import KEY, Bench, FakeCache, FakeGuardrails
from tests.support.waiting import until

METADATA = (("authorization", f"Bearer {KEY}"),)
TURN = "0c2f0a3e-6d0b-4a5e-9f57-3f5c0e4bb0aa"


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def connect(transport):
    """`async with connect(bench) as stub` serves an orchestrator over the fakes of *bench*."""

    @asynccontextmanager
    async def connect(bench):
        async with served(transport, registering(bench)) as channel:
            yield pb_grpc.OrchestratorServiceStub(channel)

    return connect


def registering(bench):
    """Return what registers an orchestrator over the fakes of *bench*."""
    servicer = OrchestratorServicer(
        TurnService(
            stages=bench.stages,
            key_cache=bench.key_cache,
            prompts=bench.prompts,
            cache=bench.cache,
            clock=bench.clock,
            default_deadline_seconds=30.0,
            max_deadline_seconds=600.0,
        )
    )

    def register(server):
        pb_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)

    return register


async def chat(stub, seconds=5, metadata=METADATA, **fields):
    message = pb.ChatRequest(**{"text": "Why?", **fields})
    return [event async for event in stub.Chat(message, timeout=seconds, metadata=metadata)]


async def refused(stub, **arguments):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await chat(stub, **arguments)
    return caught.value


def details_of(error, kind):
    """Return the detail of *kind* that came with *error*."""
    detail = kind()
    assert any(each.Unpack(detail) for each in rpc_status.from_call(error).details)
    return detail


async def test_a_turn(connect):
    async with connect(Bench("Because ", "it scatters.")) as stub:
        events = await chat(stub)
    assert events[0].started.template == "general_chat"
    assert events[0].started.template_version == 2
    assert len(events[0].started.request_id) == 36
    assert "".join(e.delta.text for e in events) == "Because it scatters."
    completed = events[-1].completed
    assert completed.request_id == events[0].started.request_id
    assert completed.finish_reason == answer_pb2.FINISH_REASON_STOP
    assert completed.source == answer_pb2.ANSWER_SOURCE_MODEL
    assert completed.usage.output_token_count == 5
    assert completed.cost_nano_usd == 1000
    assert completed.HasField("first_delta_latency")
    assert not completed.HasField("cache_age")


async def test_a_cached_turn(connect):
    async with connect(Bench("never", cache=FakeCache(answer="Cached."))) as stub:
        completed = (await chat(stub))[-1].completed
    assert completed.source == answer_pb2.ANSWER_SOURCE_CACHE_EXACT
    assert completed.saved_cost_nano_usd == 700
    assert completed.cache_age.seconds == 3


async def test_a_tool_call(connect):
    call = ToolCall(id="c1", name="clock", arguments_json="{}")
    async with connect(Bench(ToolCallMade(call))) as stub:
        events = await chat(stub, tools=[message_pb2.Tool(name="clock")])
    (called,) = [event.tool_call.call for event in events if event.HasField("tool_call")]
    assert (called.id, called.name, called.arguments_json) == ("c1", "clock", "{}")


async def test_an_intervention(connect):
    async with connect(Bench("x", guardrails=FakeGuardrails(redactions={"a": "b"}))) as stub:
        events = await chat(stub)
    (event,) = [event for event in events if event.HasField("intervention")]
    assert event.intervention.finding.rule_id == "pii.test"
    assert event.intervention.finding.action == finding_pb2.GUARDRAIL_ACTION_REDACT


async def test_a_blocked_turn(connect):
    async with connect(Bench("x", guardrails=FakeGuardrails(blocks=True))) as stub:
        error = await refused(stub)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    info = details_of(error, error_details_pb2.ErrorInfo)
    assert info.reason == "ERROR_REASON_GUARDRAIL_BLOCKED"
    assert info.metadata["stage"] == "input"


@pytest.mark.parametrize("metadata", [(), (("authorization", KEY),)])
async def test_no_key(connect, metadata):
    async with connect(Bench("x")) as stub:
        error = await refused(stub, metadata=metadata)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(("stars", "reported"), [(5, [True]), (2, [False]), (3, [])])
async def test_a_rating_of_a_cached_answer_reaches_the_cache_once(connect, stars, reported):
    bench = Bench("x", cache=FakeCache(answer="Cached."))
    async with connect(bench) as stub:
        call = stub.Chat(pb.ChatRequest(text="Why?"), timeout=60, metadata=METADATA)
        turn = [event async for event in call][-1].completed.request_id
        request = pb.RateTurnRequest(request_id=turn, stars=stars)
        for _ in range(2):
            await stub.RateTurn(request, timeout=60, metadata=METADATA)
    assert bench.cache.reported == [("e1", 0.97, correct) for correct in reported]
    assert len(bench.prompts.rated) == 2


async def test_a_rating_is_kept_while_the_cache_is_away(connect):
    bench = Bench("x", cache=FakeCache(answer="Cached."))
    async with connect(bench) as stub:
        call = stub.Chat(pb.ChatRequest(text="Why?"), timeout=60, metadata=METADATA)
        turn = [event async for event in call][-1].completed.request_id
        bench.cache.away = True
        request = pb.RateTurnRequest(request_id=turn, thumbs_up=False)
        await stub.RateTurn(request, timeout=60, metadata=METADATA)
    assert len(bench.prompts.rated) == 1


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"text": ""}, "text"),
        ({"text": "  \n"}, "text"),
        ({"request_id": "17"}, "request_id"),
        ({"template_version": -1}, "template_version"),
        ({"parameters": {"temperature": -0.1}}, "parameters.temperature"),
        ({"parameters": {"temperature": float("nan")}}, "parameters.temperature"),
        ({"parameters": {"max_output_token_count": -5}}, "parameters.max_output_token_count"),
        ({"history": [{"role": 99, "text": "Hi"}]}, "history[0].role"),
        ({"history": [{"role": "ROLE_SYSTEM", "text": "Hi"}]}, "history[0].role"),
        ({"history": [{"role": "ROLE_USER"}]}, "history[0].text"),
        ({"variables": {"text": "x"}}, "variables.text"),
        ({"variables": {"not a name": "x"}}, "variables"),
        ({"tags": {"": "x"}}, "tags"),
        ({"tools": [{"name": "no spaces please"}]}, "tools[0].name"),
        ({"tool_choice": {"mode": "TOOL_CHOICE_MODE_NAMED"}}, "tool_choice.tool_name"),
        (
            {"response_format": {"type": "RESPONSE_FORMAT_TYPE_JSON_SCHEMA", "json_schema": "["}},
            "response_format.json_schema",
        ),
    ],
)
async def test_a_wrong_field_is_named(connect, fields, wrong):
    bench = Bench("x")
    async with connect(bench) as stub:
        error = await refused(stub, **fields)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad_request = details_of(error, error_details_pb2.BadRequest)
    assert wrong in [violation.field for violation in bad_request.field_violations]
    assert bench.writer.records == []
    assert bench.accounting.reserved == []


async def test_an_oversized_text_names_the_limit(connect):
    async with connect(Bench("x", max_input_tokens=10)) as stub:
        error = await refused(stub, text="word " * 1000)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    info = details_of(error, error_details_pb2.ErrorInfo)
    assert info.reason == "ERROR_REASON_INPUT_TOO_LARGE"
    assert info.metadata["limit"] == "10"


async def test_text_that_is_not_utf8_is_refused():
    async with served("tcp", registering(Bench("x"))) as channel:
        raw = channel.unary_stream("/parley.orchestrator.v1.OrchestratorService/Chat")
        field_text = bytes([0x12, 2, 0xC3, 0x28])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in raw(field_text, timeout=60, metadata=METADATA):
                pass
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_cancel_reaches_the_model_and_is_booked(connect):
    bench = Bench("one ", asyncio.Event())
    async with connect(bench) as stub:
        call = stub.Chat(pb.ChatRequest(text="Why?"), timeout=30, metadata=METADATA)
        while not (await call.read()).HasField("delta"):
            pass
        call.cancel()
        await until(lambda: bench.router.closed)
        await until(lambda: bench.writer.of(Settlement))
    (settlement,) = bench.writer.of(Settlement)
    assert settlement.attempts[0].usage.estimated


async def test_a_deadline_that_ends_is_booked(connect):
    bench = Bench("one ", asyncio.Event())
    async with connect(bench) as stub:
        error = await refused(stub, seconds=0.2)
        await until(lambda: bench.writer.of(Settlement))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_bug_shows_no_text(connect):
    async with connect(Bench("half ", RuntimeError("a secret"))) as stub:
        error = await refused(stub)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("rating", "stars"), [({"thumbs_up": True}, 5), ({"thumbs_up": False}, 1), ({"stars": 3}, 3)]
)
async def test_a_rating(connect, rating, stars):
    bench = Bench("x")
    async with connect(bench) as stub:
        request = pb.RateTurnRequest(request_id=TURN, comment="Good.", **rating)
        await stub.RateTurn(request, timeout=60, metadata=METADATA)
    (rated,) = bench.prompts.rated
    assert (rated["tenant_id"], rated["stars"], rated["comment"]) == ("acme", stars, "Good.")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"request_id": TURN}, "rating"),
        ({"request_id": TURN, "stars": 0}, "stars"),
        ({"stars": 3}, "request_id"),
        ({"request_id": "r", "stars": 3}, "request_id"),
        ({"request_id": TURN, "stars": 3, "comment": "x" * 2001}, "comment"),
    ],
)
async def test_a_wrong_rating(connect, fields, wrong):
    async with connect(Bench("x")) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.RateTurn(pb.RateTurnRequest(**fields), timeout=60, metadata=METADATA)
    bad_request = details_of(caught.value, error_details_pb2.BadRequest)
    assert [violation.field for violation in bad_request.field_violations] == [wrong]


async def test_lines_of_a_turn_belong_to_it_and_say_what_was_away(connect):
    with capture_logs(processors=[add_request]) as lines:
        async with connect(Bench("x", cache=FakeCache(away=True))) as stub:
            await chat(stub, request_id=TURN)
    assert [line["degraded"] for line in lines if line["event"] == "turn_degraded"] == [
        ["semantic_cache"]
    ]
    assert {(line["request_id"], line["tenant_id"]) for line in lines} == {(TURN, "acme")}


async def test_jobs_are_not_implemented(connect):
    async with connect(Bench("x")) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetJob(pb.GetJobRequest(job_id=TURN), timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
