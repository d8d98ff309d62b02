"""
A channel carries calls, messages and statuses alike over TCP and in process.

The tests over TCP show that what the in-process transport promises is what grpc.aio does.
"""

import asyncio
import contextlib

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.support.echo import echo, pb

EOF = grpc.aio.EOF


def uploads(*texts):
    return [pb.UploadRequest(text=text) for text in texts]


async def every(items):
    for item in items:
        yield item


async def test_unary(connect):
    stub = (await connect()).stub
    call = stub.Unary(pb.UnaryRequest(text="hi"), timeout=60)

    assert (await call).text == "hi"
    assert (await call).text == "hi"
    assert (await call.code(), await call.details()) == (grpc.StatusCode.OK, "")
    assert (call.done(), call.cancelled(), call.cancel()) == (True, False, False)


async def test_unary_starts_without_being_awaited(connect):
    started = asyncio.Event()

    async def handler(request, context):
        started.set()
        return pb.UnaryResponse(text="ran")

    call = (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())
    await started.wait()

    assert (await call).text == "ran"


async def test_many_at_once(connect):
    stub = (await connect()).stub
    texts = [str(number) for number in range(100)]
    answers = await asyncio.gather(*(stub.Unary(pb.UnaryRequest(text=text)) for text in texts))

    assert [answer.text for answer in answers] == texts


async def test_download_by_iteration(connect):
    call = (await connect()).stub.Download(pb.DownloadRequest(count=3), timeout=60)

    assert [message.index async for message in call] == [0, 1, 2]
    assert await call.code() == grpc.StatusCode.OK
    assert call.done()


async def test_download_by_read(connect):
    call = (await connect()).stub.Download(pb.DownloadRequest(count=2))

    assert [(await call.read()).index, (await call.read()).index] == [0, 1]
    assert await call.read() is EOF
    assert await call.read() is EOF
    assert await call.code() == grpc.StatusCode.OK


async def test_download_of_nothing(connect):
    call = (await connect()).stub.Download(pb.DownloadRequest(count=0))

    assert [message async for message in call] == []


async def test_status_comes_after_the_last_message_without_reading_on(connect):
    call = (await connect()).stub.Download(pb.DownloadRequest(count=1))
    await call.read()

    assert await call.code() == grpc.StatusCode.OK


async def test_download_handler_that_writes(connect):
    async def handler(request, context):
        for index in range(request.count):
            await context.write(pb.DownloadResponse(index=index))

    call = (await connect(echo(Download=handler))).stub.Download(pb.DownloadRequest(count=3))

    assert [message.index async for message in call] == [0, 1, 2]


async def test_styles_of_reading_do_not_mix(connect):
    call = (await connect()).stub.Download(pb.DownloadRequest(count=2))
    await call.read()

    with pytest.raises(grpc.aio.UsageError):
        [message async for message in call]


@pytest.mark.parametrize("requests", [every, iter], ids=["async", "plain"])
async def test_upload_from_an_iterator(connect, requests):
    call = (await connect()).stub.Upload(requests(uploads("a", "b")), timeout=60)

    assert list((await call).texts) == ["a", "b"]


async def test_upload_by_write(connect):
    call = (await connect()).stub.Upload()
    for request in uploads("a", "b"):
        await call.write(request)
    await call.done_writing()
    await call.done_writing()

    assert list((await call).texts) == ["a", "b"]


async def test_write_after_done_writing(connect):
    call = (await connect()).stub.Upload()
    await call.done_writing()

    with pytest.raises(asyncio.InvalidStateError):
        await call.write(pb.UploadRequest())
    await call


async def test_write_after_the_end(connect):
    call = (await connect()).stub.Converse()
    await call.done_writing()
    assert await call.read() is EOF

    with pytest.raises(asyncio.InvalidStateError):
        await call.write(pb.ConverseRequest())


async def test_write_beside_an_iterator(connect):
    call = (await connect()).stub.Upload(every(uploads("a")))

    with pytest.raises(grpc.aio.UsageError):
        await call.write(pb.UploadRequest())
    await call


async def test_upload_handler_that_reads(connect):
    async def handler(request_iterator, context):
        texts = []
        while (request := await context.read()) is not EOF:
            texts.append(request.text)
        return pb.UploadResponse(texts=texts)

    stub = (await connect(echo(Upload=handler))).stub

    assert list((await stub.Upload(every(uploads("a", "b")))).texts) == ["a", "b"]


async def test_client_iterator_that_fails_cancels_the_call(connect):
    async def requests():
        yield pb.UploadRequest()
        raise RuntimeError("broken iterator")

    call = (await connect()).stub.Upload(requests())

    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() == grpc.StatusCode.CANCELLED


async def test_converse_turn_by_turn(connect):
    call = (await connect()).stub.Converse(timeout=60)
    heard = []
    for text in ("a", "b"):
        await call.write(pb.ConverseRequest(text=text))
        heard.append((await call.read()).text)
    await call.done_writing()

    assert heard == ["a", "b"]
    assert await call.read() is EOF


async def test_converse_by_iterators(connect):
    requests = [pb.ConverseRequest(text=str(number)) for number in range(500)]
    call = (await connect()).stub.Converse(every(requests))

    assert [message.text async for message in call] == [request.text for request in requests]


async def test_handler_may_answer_before_all_requests_came(connect):
    async def handler(request_iterator, context):
        async for request in request_iterator:
            return pb.UploadResponse(texts=[request.text])

    call = (await connect(echo(Upload=handler))).stub.Upload()
    await call.write(pb.UploadRequest(text="first"))

    assert list((await call).texts) == ["first"]


@pytest.mark.parametrize("kind", ["Unary", "Download", "Upload", "Converse"])
async def test_abort(connect, kind):
    async def handler(request, context):
        await context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            "not now",
            (("x-why", "because"), ("x-why-bin", b"\x00\xff")),
        )

    stub = (await connect(echo(**{kind: handler}))).stub
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await one_call(stub, kind)
    error = caught.value

    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "not now")
    assert error.trailing_metadata()["x-why"] == "because"
    assert error.trailing_metadata()["x-why-bin"] == b"\x00\xff"
    assert error.initial_metadata() is not None
    assert "not now" in error.debug_error_string()


async def one_call(stub, kind):
    """Make one call of *kind*, without a request if it takes a stream."""
    match kind:
        # A status that crosses a request on its way may reach the client of grpc.aio as
        # INTERNAL "Internal error from Core" instead.
        case "Unary":
            return await stub.Unary(pb.UnaryRequest(text="hi"), timeout=60)
        case "Download":
            return await stub.Download(pb.DownloadRequest(count=1), timeout=60).read()
        case "Upload":
            return await stub.Upload(timeout=60)
        case "Converse":
            return await stub.Converse(timeout=60).read()


async def test_abort_after_messages_lets_them_arrive(connect):
    async def handler(request, context):
        yield pb.DownloadResponse(index=0)
        yield pb.DownloadResponse(index=1)
        await context.abort(grpc.StatusCode.ABORTED, "enough")

    call = (await connect(echo(Download=handler))).stub.Download(pb.DownloadRequest())
    got = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for message in call:
            got.append(message.index)

    assert got == [0, 1]
    assert caught.value.code() == grpc.StatusCode.ABORTED


async def test_status_details_travel(connect):
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="WHY", domain="test"))
    rich = rpc_status.to_status(status_pb2.Status(code=5, message="gone", details=[detail]))

    async def handler(request, context):
        await context.abort_with_status(rich)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())
    status = rpc_status.from_call(caught.value)

    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.reason == "WHY"


async def test_abort_that_the_handler_swallows_still_ends_the_call(connect):
    seen = []

    async def handler(request, context):
        with contextlib.suppress(grpc.aio.AbortError):
            await context.abort(grpc.StatusCode.ABORTED, "stop")
        try:
            await context.write(pb.DownloadResponse())
        except grpc.aio.AbortError:
            seen.append("refused")

    call = (await connect(echo(Download=handler))).stub.Download(pb.DownloadRequest())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()

    assert caught.value.code() == grpc.StatusCode.ABORTED
    assert seen == ["refused"]


@pytest.mark.parametrize("kind", ["Unary", "Download", "Upload", "Converse"])
async def test_set_code_and_details(connect, kind):
    async def handler(request, context):
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("no such thing")
        context.set_trailing_metadata((("x-hint", "look elsewhere"),))
        return pb.UnaryResponse()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await one_call((await connect(echo(**{kind: handler}))).stub, kind)

    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no such thing"
    assert caught.value.trailing_metadata()["x-hint"] == "look elsewhere"


@pytest.mark.parametrize("kind", ["Unary", "Download", "Upload", "Converse"])
async def test_uncaught_exception_is_unknown(connect, kind):
    async def handler(request, context):
        raise LookupError("lost")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await one_call((await connect(echo(**{kind: handler}))).stub, kind)

    assert caught.value.code() == grpc.StatusCode.UNKNOWN
    assert caught.value.details() == "Unexpected <class 'LookupError'>: lost"


async def test_uncaught_exception_keeps_a_code_that_was_set(connect):
    async def handler(request, context):
        context.set_code(grpc.StatusCode.DATA_LOSS)
        raise LookupError("lost")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())

    assert caught.value.code() == grpc.StatusCode.DATA_LOSS


async def test_response_that_is_none_is_unknown(connect):
    async def handler(request, context):
        return None

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())

    assert caught.value.code() in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)


async def test_unknown_method_is_unimplemented(connect):
    call = (await connect()).channel.unary_unary("/parley.test.echo.v1.EchoService/Sing")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", timeout=60)

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == "Method not found!"


async def test_error_can_be_read_from_the_call(connect):
    async def handler(request, context):
        await context.abort(grpc.StatusCode.ABORTED, "no")

    call = (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())

    assert await call.code() == grpc.StatusCode.ABORTED
    assert await call.details() == "no"
    assert "no" in await call.debug_error_string()
    with pytest.raises(grpc.aio.AioRpcError):
        await call
