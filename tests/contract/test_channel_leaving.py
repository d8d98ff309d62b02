"""Deadlines, cancellation and stopping work alike over TCP and in process."""

import asyncio
import gc

import grpc
import pytest

from tests.support.echo import echo, pb
from tests.support.transports import serving

FOREVER = 30.0
"""Deadline of calls that end before it."""

SOON = 0.05
"""Deadline of calls that reach it."""


class Hanging:
    """Handlers that never answer and tell how they ended."""

    def __init__(self):
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self.error = None
        self.remaining = None

    async def wait(self, context):
        self.remaining = context.time_remaining()
        self.started.set()
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            self.error = type(error)
            raise
        finally:
            self.ended.set()

    async def answer(self, request, context):
        await self.wait(context)

    async def generate(self, request, context):
        yield pb.DownloadResponse(index=0)
        await self.wait(context)

    async def write(self, request, context):
        await context.write(pb.DownloadResponse(index=0))
        await self.wait(context)

    async def write_for_ever(self, request, context):
        self.started.set()
        try:
            while True:
                await context.write(pb.DownloadResponse(text="x" * 1000))
        except BaseException as error:
            self.error = type(error)
            raise
        finally:
            self.ended.set()


@pytest.fixture
def hanging():
    return Hanging()


@pytest.fixture(params=["generate", "write"])
def download(request, hanging):
    return echo(Download=getattr(hanging, request.param))


async def test_deadline_of_a_unary_call(connect, hanging):
    stub = (await connect(echo(Unary=hanging.answer))).stub
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Unary(pb.UnaryRequest(), timeout=SOON)
    await hanging.ended.wait()

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert caught.value.details() == "Deadline Exceeded"
    assert hanging.error is asyncio.CancelledError
    # On the wire a timeout is rounded up.
    assert 0 < hanging.remaining < 2 * SOON


async def test_deadline_of_a_stream(connect, hanging, download):
    call = (await connect(download)).stub.Download(pb.DownloadRequest(), timeout=SOON)
    got = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for message in call:
            got.append(message.index)
    await hanging.ended.wait()

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert got == [0]
    assert hanging.error is asyncio.CancelledError


async def test_deadline_of_an_upload(connect, hanging):
    call = (await connect(echo(Upload=hanging.answer))).stub.Upload(timeout=SOON)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    await hanging.ended.wait()

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_deadline_does_not_wait_for_the_handler_to_clean_up(connect):
    cleaning, cleaned = asyncio.Event(), asyncio.Event()

    async def handler(request, context):
        try:
            await asyncio.Event().wait()
        finally:
            await cleaning.wait()
            cleaned.set()

    stub = (await connect(echo(Unary=handler))).stub
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Unary(pb.UnaryRequest(), timeout=SOON)
    assert not cleaned.is_set()
    cleaning.set()
    await cleaned.wait()

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_deadline_that_is_over_already(connect):
    stub = (await connect()).stub
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Unary(pb.UnaryRequest(), timeout=-1)

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_without_a_deadline(connect):
    seen = []

    async def handler(request, context):
        seen.append(context.time_remaining())
        return pb.UnaryResponse()

    call = (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())
    await call

    assert seen == [None]
    assert call.time_remaining() is None


async def test_client_sees_the_time_that_remains(connect):
    call = (await connect()).stub.Unary(pb.UnaryRequest(), timeout=FOREVER)

    assert 0 < call.time_remaining() <= FOREVER
    await call


async def test_cancel_of_a_unary_call(connect, hanging):
    call = (await connect(echo(Unary=hanging.answer))).stub.Unary(pb.UnaryRequest())
    await hanging.started.wait()

    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await hanging.ended.wait()
    assert hanging.error is asyncio.CancelledError
    assert call.cancelled()
    assert await call.code() == grpc.StatusCode.CANCELLED
    assert await call.details() == "Locally cancelled by application!"
    assert not call.cancel()


async def test_cancel_before_the_handler_has_started(connect):
    call = (await connect()).stub.Unary(pb.UnaryRequest())

    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_cancel_of_a_stream(connect, hanging, download):
    call = (await connect(download)).stub.Download(pb.DownloadRequest())
    await call.read()
    await hanging.started.wait()

    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    await hanging.ended.wait()
    assert hanging.error is asyncio.CancelledError


async def test_cancel_arrives_at_a_write(connect, hanging):
    stub = (await connect(echo(Download=hanging.write_for_ever))).stub
    call = stub.Download(pb.DownloadRequest())
    await call.read()
    call.cancel()
    await hanging.ended.wait()

    assert issubclass(hanging.error, asyncio.CancelledError | grpc.aio.InternalError)


async def test_cancel_of_the_task_that_awaits(connect, hanging):
    stub = (await connect(echo(Unary=hanging.answer))).stub

    async def client():
        await stub.Unary(pb.UnaryRequest(), timeout=FOREVER)

    task = asyncio.create_task(client())
    await hanging.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await hanging.ended.wait()

    assert hanging.error is asyncio.CancelledError


@pytest.mark.parametrize("by_read", [True, False], ids=["read", "async for"])
async def test_cancel_of_the_task_that_reads(connect, hanging, download, by_read):
    stub = (await connect(download)).stub

    reading = asyncio.Event()

    async def client():
        call = stub.Download(pb.DownloadRequest(), timeout=FOREVER)
        if by_read:
            while await call.read() is not grpc.aio.EOF:
                reading.set()
        else:
            async for _ in call:
                reading.set()

    task = asyncio.create_task(client())
    await hanging.started.wait()
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await hanging.ended.wait()

    assert hanging.error is asyncio.CancelledError


async def test_dropping_an_in_process_call_cancels_it(hanging, download):
    # grpc.aio promises it too, but keeps the call alive until it ends. Whoever leaves a
    # stream early cancels it.
    async with serving("in_process", download) as connection:
        call = connection.stub.Download(pb.DownloadRequest())
        await call.read()
        await hanging.started.wait()
        del call
        gc.collect()
        await hanging.ended.wait()

    assert hanging.error is asyncio.CancelledError


async def test_cancel_of_an_upload_ends_the_request_iterator(connect, hanging):
    ended = asyncio.Event()

    async def requests():
        try:
            yield pb.UploadRequest()
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = (await connect(echo(Upload=hanging.answer))).stub.Upload(requests())
    await hanging.started.wait()
    call.cancel()
    await ended.wait()
    await hanging.ended.wait()

    with pytest.raises(asyncio.CancelledError):
        await call


async def test_cancel_reaches_a_handler_that_waits_for_requests(connect):
    started, ended = asyncio.Event(), asyncio.Event()

    async def handler(request_iterator, context):
        started.set()
        try:
            # Over TCP the iteration may end as if the client had sent all it wanted;
            # in process it is always cut off by CancelledError.
            return pb.UploadResponse(texts=[each.text async for each in request_iterator])
        finally:
            ended.set()

    call = (await connect(echo(Upload=handler))).stub.Upload()
    await started.wait()
    call.cancel()
    await ended.wait()

    assert await call.code() == grpc.StatusCode.CANCELLED


async def test_done_callbacks(connect):
    on_server = asyncio.Event()

    async def handler(request, context):
        context.add_done_callback(lambda _context: on_server.set())
        return pb.UnaryResponse()

    call = (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())
    called_with = []
    call.add_done_callback(called_with.append)
    await call
    await on_server.wait()
    call.add_done_callback(called_with.append)

    assert called_with == [call, call]


async def test_wait_for_connection(connect):
    call = (await connect()).stub.Converse()
    await call.wait_for_connection()
    await call.done_writing()

    assert await call.read() is grpc.aio.EOF


async def test_stopped_server_is_unavailable(connect):
    connection = await connect()
    await connection.stub.Unary(pb.UnaryRequest())
    await connection.server.stop(None)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await connection.stub.Unary(pb.UnaryRequest(), timeout=60)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_stop_lets_calls_in_flight_end_within_the_grace(connect):
    started, go_on = asyncio.Event(), asyncio.Event()

    async def handler(request, context):
        started.set()
        await go_on.wait()
        return pb.UnaryResponse(text="ended well")

    connection = await connect(echo(Unary=handler))
    call = connection.stub.Unary(pb.UnaryRequest())
    await started.wait()
    stopping = asyncio.create_task(connection.server.stop(FOREVER))
    await asyncio.sleep(0)
    go_on.set()

    assert (await call).text == "ended well"
    await stopping


async def test_stop_ends_calls_after_the_grace(connect, hanging):
    connection = await connect(echo(Unary=hanging.answer))
    call = connection.stub.Unary(pb.UnaryRequest())
    await hanging.started.wait()
    await connection.server.stop(SOON)
    await hanging.ended.wait()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_closed_channel_ends_its_calls(connect, hanging):
    connection = await connect(echo(Unary=hanging.answer))
    call = connection.stub.Unary(pb.UnaryRequest())
    await hanging.started.wait()
    await connection.channel.close()
    await hanging.ended.wait()

    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(grpc.aio.UsageError):
        await connection.stub.Unary(pb.UnaryRequest())


async def test_channel_becomes_ready(connect):
    channel = (await connect()).channel
    await channel.channel_ready()

    assert channel.get_state() is grpc.ChannelConnectivity.READY
