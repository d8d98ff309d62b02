"""What only the in-process transport has; the rest is in tests/contract/test_channel*.py."""

import asyncio
import contextvars

import grpc
import pytest
from parley_services.kit.rpc.in_process import InProcessChannel, InProcessServer
from parley_services.kit.rpc.in_process.pipe import Pipe

from tests.support.echo import SERVICE, Echo, echo, pb, pb_grpc
from tests.support.waiting import until

EOF = grpc.aio.EOF


@pytest.fixture
async def server():
    server = InProcessServer()
    yield server
    await server.stop(None)


def stub_of(server, servicer=None):
    pb_grpc.add_EchoServiceServicer_to_server(servicer or Echo(), server)
    return pb_grpc.EchoServiceStub(InProcessChannel(server))


class TestMessages:
    async def test_pass_by_reference(self, server):
        got = []

        async def handler(request, context):
            got.append(request)
            return answer

        answer, request = pb.UnaryResponse(), pb.UnaryRequest()
        stub = stub_of(server, echo(Unary=handler))
        await server.start()

        assert await stub.Unary(request) is answer
        assert got[0] is request

    async def test_stub_may_be_made_before_the_handlers(self, server):
        stub = pb_grpc.EchoServiceStub(InProcessChannel(server))
        pb_grpc.add_EchoServiceServicer_to_server(Echo(), server)
        await server.start()

        assert (await stub.Unary(pb.UnaryRequest(text="hi"))).text == "hi"

    async def test_method_called_as_another_kind_is_unimplemented(self, server):
        stub_of(server)
        await server.start()
        call = InProcessChannel(server).unary_stream(f"/{SERVICE}/Unary")(pb.UnaryRequest())

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED

    async def test_handler_that_is_cancelled_from_within_ends_the_call(self, server):
        async def handler(request, context):
            raise asyncio.CancelledError

        stub = stub_of(server, echo(Unary=handler))
        await server.start()

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Unary(pb.UnaryRequest())
        assert caught.value.code() == grpc.StatusCode.CANCELLED

    async def test_second_read_at_once_is_refused(self, server):
        stub = stub_of(server)
        await server.start()
        call = stub.Converse()
        first = asyncio.create_task(call.read())
        await asyncio.sleep(0)

        with pytest.raises(grpc.aio.UsageError):
            await call.read()
        await call.done_writing()
        assert await first is EOF

    async def test_handler_that_goes_on_after_the_client_left(self, server):
        errors, ended = [], asyncio.Event()

        async def handler(request, context):
            for _ in range(2):
                try:
                    while True:
                        await context.write(pb.DownloadResponse())
                except (asyncio.CancelledError, grpc.aio.InternalError) as error:
                    errors.append(type(error))
            ended.set()

        stub = stub_of(server, echo(Download=handler))
        await server.start()
        call = stub.Download(pb.DownloadRequest())
        await call.read()
        call.cancel()
        await ended.wait()

        assert errors == [asyncio.CancelledError, grpc.aio.InternalError]


class TestStartAndStop:
    async def test_before_the_start_it_is_unavailable(self, server):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub_of(server).Unary(pb.UnaryRequest())
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

    async def test_call_may_wait_for_the_start(self, server):
        call = stub_of(server).Unary(pb.UnaryRequest(text="hi"), timeout=30, wait_for_ready=True)
        await server.start()

        assert (await call).text == "hi"

    async def test_call_that_waits_keeps_its_deadline(self, server):
        call = stub_of(server).Unary(pb.UnaryRequest(), timeout=0.01, wait_for_ready=True)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        await server.start()

        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    async def test_stop_ends_the_calls_that_wait(self, server):
        call = stub_of(server).Unary(pb.UnaryRequest(), wait_for_ready=True)
        await server.stop(None)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

    async def test_starts_once_and_stops_any_number_of_times(self, server):
        await server.start()
        with pytest.raises(grpc.aio.UsageError):
            await server.start()
        await server.stop(None)
        await server.stop(None)

    async def test_waits_for_termination(self, server):
        await server.start()
        assert await server.wait_for_termination(timeout=0.01)
        waiting = asyncio.create_task(server.wait_for_termination())
        await server.stop(None)

        assert not await waiting

    async def test_stop_waits_for_handlers_to_clean_up(self, server):
        started, cleaned = asyncio.Event(), []

        async def handler(request, context):
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append(True)

        stub = stub_of(server, echo(Unary=handler))
        await server.start()
        call = stub.Unary(pb.UnaryRequest())
        await started.wait()
        await server.stop(None)

        assert cleaned
        assert await call.code() == grpc.StatusCode.UNAVAILABLE

    async def test_has_no_port(self, server):
        with pytest.raises(grpc.aio.UsageError):
            server.add_insecure_port("127.0.0.1:0")

    async def test_channel_state(self, server):
        channel = InProcessChannel(server)
        states = [channel.get_state()]
        for change in (server.start(), server.stop(None)):
            waiting = asyncio.create_task(channel.wait_for_state_change(states[-1]))
            await asyncio.sleep(0)
            await change
            await waiting
            states.append(channel.get_state())
        await channel.close()
        states.append(channel.get_state())

        assert [state.name for state in states] == ["IDLE", "READY", "IDLE", "SHUTDOWN"]

    async def test_close_with_a_grace_lets_calls_end(self, server):
        started, go_on = asyncio.Event(), asyncio.Event()

        async def handler(request, context):
            started.set()
            await go_on.wait()
            return pb.UnaryResponse(text="ended well")

        pb_grpc.add_EchoServiceServicer_to_server(echo(Unary=handler), server)
        await server.start()
        channel = InProcessChannel(server)
        call = pb_grpc.EchoServiceStub(channel).Unary(pb.UnaryRequest())
        await started.wait()
        closing = asyncio.create_task(channel.close(30))
        await asyncio.sleep(0)
        go_on.set()
        await closing

        assert (await call).text == "ended well"


async def put(pipe, item):
    if pipe.push(item):
        await pipe.room()


async def get(pipe):
    while not pipe.items and not pipe.closed:
        await pipe.filled()
    return pipe.pop() if pipe.items else EOF


class TestServedWhereItIsAwaited:
    async def test_without_a_task_of_its_own(self, server):
        tasks = []

        async def handler(request, context):
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())
            return pb.UnaryResponse()

        stub = stub_of(server, echo(Unary=handler))
        await server.start()
        await stub.Unary(pb.UnaryRequest())
        call = stub.Unary(pb.UnaryRequest())
        await asyncio.sleep(0)
        await call

        assert [task is asyncio.current_task() for task in tasks] == [True, False]

    async def test_context_variables_do_not_leak_to_the_client(self, server):
        variable = contextvars.ContextVar("variable", default="client")
        seen = []

        async def handler(request, context):
            seen.append(variable.get())
            variable.set("server")
            await asyncio.sleep(0)
            seen.append(variable.get())
            return pb.UnaryResponse()

        stub = stub_of(server, echo(Unary=handler))
        await server.start()
        variable.set("changed by the client")
        await stub.Unary(pb.UnaryRequest())

        assert seen == ["client", "server"]
        assert variable.get() == "changed by the client"

    async def test_a_future_that_fails_fails_in_the_handler(self, server):
        async def handler(request, context):
            failing = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(failing.set_exception, KeyError("no"))
            try:
                await failing
            except KeyError:
                return pb.UnaryResponse(text="caught")

        stub = stub_of(server, echo(Unary=handler))
        await server.start()

        assert (await stub.Unary(pb.UnaryRequest())).text == "caught"

    async def test_a_timeout_in_the_handler_does_not_cancel_the_client(self, server):
        async def handler(request, context):
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            except TimeoutError:
                return pb.UnaryResponse(text="late")

        stub = stub_of(server, echo(Unary=handler))
        await server.start()
        response = await stub.Unary(pb.UnaryRequest(), timeout=60)

        assert response.text == "late"
        assert asyncio.current_task().cancelling() == 0

    async def test_a_deadline_does_not_cancel_the_client(self, server):
        ended = asyncio.Event()

        async def handler(request, context):
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                ended.set()

        stub = stub_of(server, echo(Unary=handler))
        await server.start()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Unary(pb.UnaryRequest(), timeout=0.01)
        assert not ended.is_set()
        assert asyncio.current_task().cancelling() == 0
        await ended.wait()

        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def test_a_cancel_of_the_client_waits_for_the_handler_and_is_not_lost(self, server):
        started, cleaned = asyncio.Event(), []

        async def handler(request, context):
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append(True)

        stub = stub_of(server, echo(Unary=handler))
        await server.start()

        async def client():
            await stub.Unary(pb.UnaryRequest(), timeout=60)

        task = asyncio.create_task(client())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned == [True]


class TestPipe:
    @pytest.fixture
    async def pipe(self):
        return Pipe(asyncio.get_running_loop(), 4)

    async def test_writer_waits_until_it_is_half_empty(self, pipe):
        written = []

        async def write():
            for number in range(6):
                await put(pipe, number)
                written.append(number)

        writer = asyncio.create_task(write())
        await until(lambda: len(written) == 3)
        await asyncio.sleep(0)
        assert len(pipe.items) == 4
        assert await get(pipe) == 0
        await asyncio.sleep(0)
        assert len(pipe.items) == 3
        assert await get(pipe) == 1
        await until(lambda: len(pipe.items) == 4)

        assert [await get(pipe) for _ in range(4)] == [2, 3, 4, 5]
        await writer

    async def test_close_lets_the_reader_have_the_rest(self, pipe):
        await put(pipe, "a")
        pipe.close()
        await put(pipe, "too late")

        assert [await get(pipe), await get(pipe), await get(pipe)] == ["a", EOF, EOF]

    async def test_discard_forgets_the_rest(self, pipe):
        await put(pipe, "a")
        pipe.discard()

        assert await get(pipe) is EOF

    async def test_close_wakes_all_who_wait(self, pipe):
        reader = asyncio.create_task(get(pipe))
        await asyncio.sleep(0)
        pipe.close()
        assert await reader is EOF

        full = Pipe(asyncio.get_running_loop(), 1)
        writers = [asyncio.create_task(put(full, number)) for number in range(3)]
        await asyncio.sleep(0)
        full.discard()
        await asyncio.gather(*writers)

    async def test_cancelled_reader_takes_nothing(self, pipe):
        reader = asyncio.create_task(get(pipe))
        await asyncio.sleep(0)
        await put(pipe, "a")
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

        assert await get(pipe) == "a"
