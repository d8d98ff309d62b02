"""What every service does around its RPCs holds over TCP and in process."""

import asyncio

import grpc
import pytest
from parley_services.kit.errors import (
    BudgetExhausted,
    GuardrailBlocked,
    InvalidArgument,
    NotFound,
    RateLimited,
)
from parley_services.kit.log import add_request
from parley_services.kit.rpc import request_context
from parley_services.kit.rpc.interceptors import interceptors_for_tcp
from parley_services.kit.rpc.status import service_error_of
from parley_services.kit.rpc.wrap_handler import Around
from structlog.testing import capture_logs

from tests.support.echo import SERVICE, Echo, echo, pb, pb_grpc
from tests.support.serving import our_interceptors
from tests.support.transports import serving
from tests.support.waiting import until

KINDS = ["Unary", "Download", "Upload", "Converse"]
REQUESTS = {
    "Unary": pb.UnaryRequest(text="secret prompt"),
    "Download": pb.DownloadRequest(text="secret prompt", count=2),
    "Upload": pb.UploadRequest(text="secret prompt"),
    "Converse": pb.ConverseRequest(text="secret prompt"),
}


@pytest.fixture
async def serve(connect, transport):
    """Serves an Echo with our interceptors: `await serve(Unary=handler)` is a stub."""

    async def serve(**handlers):
        connection = await connect(echo(**handlers), interceptors=our_interceptors(transport))
        return connection.stub

    return serve


async def call(stub, kind, **options):
    """Make one call of *kind* and return its responses."""
    request = REQUESTS[kind]
    started = getattr(stub, kind)(
        iter([request]) if kind in ("Upload", "Converse") else request, timeout=60, **options
    )
    if kind in ("Unary", "Upload"):
        return [await started]
    return [message async for message in started]


async def refused(stub, kind, **options):
    """
    Make one call of *kind* that the server will refuse, and return how.

    It sends no requests of a stream: where a refusal crosses a request on its way,
    grpc.aio may report INTERNAL "Internal error from Core" instead.
    """
    arguments = [] if kind in ("Upload", "Converse") else [REQUESTS[kind]]
    started = getattr(stub, kind)(*arguments, timeout=60, **options)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        if kind in ("Unary", "Upload"):
            await started
        else:
            await started.read()
    return caught.value


def raising(error):
    async def handler(request, context):
        raise error

    return handler


def raising_from_a_generator(error):
    async def handler(request, context):
        yield pb.DownloadResponse(index=0)
        raise error

    return handler


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_pass(serve, kind):
    assert await call(await serve(), kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_service_error_keeps_its_text(serve, kind):
    error = GuardrailBlocked("Rule pii-1 forbids it.", metadata={"rule_id": "pii-1"})
    refusal = await refused(await serve(**{kind: raising(error)}), kind)
    again = service_error_of(refusal)

    assert refusal.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.details() == "Rule pii-1 forbids it."
    assert isinstance(again, GuardrailBlocked)
    assert again.metadata == {"rule_id": "pii-1"}


async def test_service_error_after_messages(serve):
    stub = await serve(Download=raising_from_a_generator(BudgetExhausted("The budget is spent.")))
    started = stub.Download(REQUESTS["Download"])
    got = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for message in started:
            got.append(message.index)

    assert got == [0]
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("kind", KINDS)
async def test_any_other_exception_is_internal_and_silent(serve, kind):
    with capture_logs() as lines:
        refusal = await refused(await serve(**{kind: raising(RuntimeError("secret"))}), kind)

    assert refusal.code() == grpc.StatusCode.INTERNAL
    assert refusal.details() == "internal error"
    assert service_error_of(refusal) is None
    [line] = lines
    assert (line["event"], line["log_level"], line["code"]) == ("rpc", "error", "INTERNAL")
    assert isinstance(line["exc_info"], RuntimeError)


async def test_task_group_that_fails_with_a_service_error(serve):
    async def handler(request, context):
        async with asyncio.TaskGroup() as group:
            group.create_task(raising(RateLimited("Too fast."))(request, context))
            group.create_task(asyncio.Event().wait())

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(await serve(Unary=handler), "Unary")

    assert isinstance(service_error_of(caught.value), RateLimited)


async def test_task_group_that_fails_with_anything_else(serve):
    error = ExceptionGroup("two", [RateLimited("Too fast."), RuntimeError("secret cause")])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(await serve(Unary=raising(error)), "Unary")

    assert caught.value.details() == "internal error"


async def test_inner_task_that_is_cancelled_does_not_leave_the_client_hanging(serve):
    async def handler(request, context):
        loser = asyncio.create_task(asyncio.Event().wait())
        loser.cancel()
        await loser

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (await serve(Unary=handler)).Unary(REQUESTS["Unary"], timeout=30)

    assert caught.value.code() == grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("kind", KINDS)
async def test_method_that_is_not_overridden(serve, kind, connect, transport):
    bare = pb_grpc.EchoServiceServicer()
    stub = (await connect(bare, interceptors=our_interceptors(transport))).stub
    refusal = await refused(stub, kind)

    assert refusal.code() == grpc.StatusCode.UNIMPLEMENTED
    assert refusal.details() == f"This server does not implement /{SERVICE}/{kind}."


async def test_not_implemented_error_of_a_handler_is_a_crash(serve):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(await serve(Unary=raising(NotImplementedError("later"))), "Unary")

    assert caught.value.code() == grpc.StatusCode.INTERNAL


async def test_generator_is_closed_within_its_own_task(serve):
    closed_in, opened_in = [], []

    async def handler(request, context):
        opened_in.append(asyncio.current_task())
        try:
            while True:
                yield pb.DownloadResponse(text="x" * 1000)
        finally:
            closed_in.append(asyncio.current_task())
            ended.set()

    ended = asyncio.Event()
    started = (await serve(Download=handler)).Download(REQUESTS["Download"])
    await started.read()
    started.cancel()
    await ended.wait()

    assert closed_in == opened_in


@pytest.mark.parametrize("kind", KINDS)
async def test_one_log_line_without_text(serve, kind, transport):
    with capture_logs(processors=[add_request]) as lines:
        await call(await serve(), kind, metadata=(("x-request-id", "r-1"),))

    [line] = lines
    assert line.pop("seconds") >= 0
    assert line == {
        "event": "rpc",
        "log_level": "info" if transport == "tcp" else "debug",
        "method": f"/{SERVICE}/{kind}",
        "code": "OK",
        "request_id": "r-1",
        "reason": "",
    }


async def test_refusals_are_logged_with_their_reason(serve):
    error = NotFound("No such template.", resource_type="template", resource_name="secret")
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError):
        await call(await serve(Unary=raising(error)), "Unary")

    [line] = lines
    assert (line["log_level"], line["code"]) == ("info", "NOT_FOUND")
    assert line["reason"] == "ERROR_REASON_RESOURCE_NOT_FOUND"
    assert "secret" not in str(lines)


async def test_aborts_are_logged_with_their_code(serve):
    async def handler(request, context):
        await context.abort(grpc.StatusCode.DATA_LOSS, "secret")

    with capture_logs() as lines:
        with pytest.raises(grpc.aio.AioRpcError):
            await call(await serve(Unary=handler), "Unary")
        # The client has the status before the handler has ended.
        await until(lambda: lines)

    assert [line["code"] for line in lines] == ["DATA_LOSS"]
    assert "secret" not in str(lines)


@pytest.mark.parametrize(
    ("deadline", "code"), [(0.05, "DEADLINE_EXCEEDED"), (30, "CANCELLED")], ids=["late", "left"]
)
async def test_calls_that_were_left_are_logged_so(serve, deadline, code):
    started = asyncio.Event()

    async def handler(request, context):
        started.set()
        await asyncio.Event().wait()

    with capture_logs() as lines:
        waiting = (await serve(Unary=handler)).Unary(REQUESTS["Unary"], timeout=deadline)
        await started.wait()
        if code == "CANCELLED":
            waiting.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await waiting
        await until(lambda: lines)

    assert [line["code"] for line in lines] == [code]


async def test_handler_sees_the_context_of_its_request(serve):
    seen = []

    async def handler(request, context):
        seen.append(request_context.current())
        return pb.UnaryResponse()

    stub = await serve(Unary=handler)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await call(stub, "Unary", metadata=(("x-request-id", "r-1"), ("traceparent", trace)))
    await call(stub, "Unary", metadata=(("traceparent", "nonsense"),))

    assert seen == [
        request_context.RequestContext(request_id="r-1", traceparent=trace),
        request_context.NO_REQUEST,
    ]
    assert request_context.current() is request_context.NO_REQUEST


async def test_interceptors_run_outermost_first(connect, transport):
    order = []

    class Note:
        def __init__(self, name):
            self.name = name

        async def __aenter__(self):
            order.append(f"enter {self.name}")

        async def __aexit__(self, *error):
            order.append(f"exit {self.name}")

    interceptors = [
        Around(lambda method, context: Note("outer")),
        Around(lambda method, context: Note("inner")),
    ]
    stub = (await connect(Echo(), interceptors=interceptors)).stub
    for kind in KINDS:
        order.clear()
        await call(stub, kind)

        assert order == ["enter outer", "enter inner", "exit inner", "exit outer"]


async def test_interceptor_may_hide_a_method(connect):
    class Hide(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, handler_call_details):
            metadata = dict(handler_call_details.invocation_metadata)
            return None if "x-hide" in metadata else await continuation(handler_call_details)

    stub = (await connect(Echo(), interceptors=[Hide(), *interceptors_for_tcp()])).stub
    await call(stub, "Unary")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(stub, "Unary", metadata=(("x-hide", "1"),))

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind", KINDS)
async def test_request_that_is_no_message_is_invalid(kind):
    """Only over TCP: in process there are no bytes."""
    async with serving("tcp", Echo(), interceptors=our_interceptors("tcp")) as connection:
        broken = b"\xff\xff\xff"
        channel, method = connection.channel, f"/{SERVICE}/{kind}"
        with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
            match kind:
                case "Unary":
                    await channel.unary_unary(method)(broken)
                case "Download":
                    await channel.unary_stream(method)(broken).read()
                case "Upload":
                    started = channel.stream_unary(method)()
                    await started.write(broken)
                    await started
                case "Converse":
                    started = channel.stream_stream(method)()
                    await started.write(broken)
                    await started.read()

    assert isinstance(service_error_of(caught.value), InvalidArgument)
    assert [line["code"] for line in lines] == ["INVALID_ARGUMENT"]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((("x-parley-service-token", "right"),), None),
        ((("x-parley-service-token", "wrong"),), "ERROR_REASON_KEY_INVALID"),
        ((), "ERROR_REASON_KEY_MISSING"),
    ],
    ids=["right", "wrong", "missing"],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_service_token(kind, metadata, reason):
    interceptors = interceptors_for_tcp(service_token="right")
    async with serving("tcp", Echo(), interceptors=interceptors) as connection:
        if reason is None:
            assert await call(connection.stub, kind, metadata=metadata)
            return
        refusal = await refused(connection.stub, kind, metadata=metadata)

    assert refusal.code() == grpc.StatusCode.UNAUTHENTICATED
    assert service_error_of(refusal).reason == reason
    assert "right" not in str(refusal)
