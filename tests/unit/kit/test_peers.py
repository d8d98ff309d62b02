import asyncio

import grpc
import pytest
from parley_services.kit.errors import DependencyUnavailable
from parley_services.kit.rpc import request_context
from parley_services.kit.rpc.in_process import InProcessServer
from parley_services.kit.rpc.interceptors import interceptors_for_tcp
from parley_services.kit.rpc.peers import SERVICES, Peers, PeersSettings
from parley_services.kit.rpc.request_context import RequestContext

from tests.support.echo import Echo, echo, pb, pb_grpc
from tests.support.serving import TRANSPORTS

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def start():
    """Starts an Echo as `accounting` and gives the Peers that reach it."""
    servers, opened = [], []

    async def start(transport, servicer, *, interceptors=(), **settings):
        if transport == "tcp":
            server = grpc.aio.server(interceptors=interceptors)
            port = server.add_insecure_port("127.0.0.1:0")
            peers = Peers(PeersSettings(accounting=f"dns:///127.0.0.1:{port}", **settings))
        else:
            server = InProcessServer(interceptors=interceptors)
            peers = Peers(PeersSettings(**settings), server=server, here=["accounting"])
        pb_grpc.add_EchoServiceServicer_to_server(servicer, server)
        await server.start()
        servers.append(server)
        opened.append(peers)
        return peers

    yield start
    for peers in opened:
        await peers.close()
    for server in servers:
        await server.stop(None)


def stub_of(peers):
    return pb_grpc.EchoServiceStub(peers.channel("accounting"))


def recording():
    """Return an Echo and the list of the metadata that its Unary got."""
    seen = []

    async def handler(request, context):
        seen.append(dict(context.invocation_metadata()))
        return pb.UnaryResponse()

    return echo(Unary=handler), seen


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_all_kinds_of_calls(start, transport):
    stub = stub_of(await start(transport, Echo()))

    assert (await stub.Unary(pb.UnaryRequest(text="a"), timeout=60)).text == "a"
    assert len([m async for m in stub.Download(pb.DownloadRequest(count=2), timeout=60)]) == 2
    requests = iter([pb.UploadRequest(text="a")])
    assert list((await stub.Upload(requests, timeout=60)).texts) == ["a"]
    requests = iter([pb.ConverseRequest(text="a")])
    assert [m.text async for m in stub.Converse(requests, timeout=60)] == ["a"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_calls_carry_the_request_they_serve(start, transport):
    servicer, seen = recording()
    stub = stub_of(await start(transport, servicer))
    request_context.enter(RequestContext(request_id="r-1", traceparent=TRACE))
    await stub.Unary(pb.UnaryRequest(), timeout=60, metadata=(("x-own", "kept"),))

    assert seen[0]["x-request-id"] == "r-1"
    assert seen[0]["traceparent"] == TRACE
    assert seen[0]["x-own"] == "kept"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_request_travels_on_through_a_service(start, transport):
    last, seen = recording()
    to_last = stub_of(await start("in_process", last))

    async def pass_on(request, context):
        return await to_last.Unary(request, timeout=60)

    first = await start(transport, echo(Unary=pass_on), interceptors=interceptors_for_tcp())
    await stub_of(first).Unary(
        pb.UnaryRequest(), timeout=60, metadata=(("x-request-id", "from afar"),)
    )

    assert seen[0]["x-request-id"] == "from afar"


async def test_calls_over_tcp_carry_the_service_token(start):
    token = interceptors_for_tcp(service_token="hush")
    peers = await start("tcp", Echo(), interceptors=token, service_token="hush")

    assert (await stub_of(peers).Unary(pb.UnaryRequest(text="a"), timeout=60)).text == "a"


async def test_calls_in_process_do_not(start):
    servicer, seen = recording()
    await stub_of(await start("in_process", servicer, service_token="hush")).Unary(
        pb.UnaryRequest(), timeout=60
    )

    assert seen == [{}]


async def test_channels_are_shared(start):
    peers = await start("tcp", Echo())

    assert peers.channel("accounting") is peers.channel("accounting")
    assert peers.channel("accounting") is not peers.channel("guardrails")


async def test_where_peers_are(start):
    here = await start("in_process", Echo())
    elsewhere = await start("tcp", Echo())

    assert here.is_here("accounting")
    assert not here.is_here("guardrails")
    assert not elsewhere.is_here("accounting")


async def test_unknown_service():
    async with Peers(PeersSettings()) as peers:
        with pytest.raises(ValueError, match="there are orchestrator"):
            peers.channel("weather")


def test_addresses(monkeypatch):
    monkeypatch.setenv("PARLEY_PEERS_MODEL_ROUTER", "dns:///model-router:50055")
    settings = PeersSettings()

    assert settings.address_of("model_router") == "dns:///model-router:50055"
    assert [settings.address_of(name).rpartition(":")[2] for name in SERVICES] == [
        "50051",
        "50052",
        "50053",
        "50054",
        "50055",
        "50056",
    ]


async def test_close_ends_the_calls_in_flight(start):
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(request, context):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    for transport in TRANSPORTS:
        started.clear()
        ended.clear()
        peers = await start(transport, echo(Unary=hang))
        call = stub_of(peers).Unary(pb.UnaryRequest(), timeout=30)
        await started.wait()
        await peers.close()
        await ended.wait()
        assert call.cancelled()


class TestRetriesOverTcp:
    async def calls_until(self, start, fail):
        """Make one call whose first two attempts run *fail*; return how many were made."""
        attempts = []

        async def handler(request, context):
            attempts.append(dict(context.invocation_metadata()))
            if len(attempts) <= 2:
                await fail(context)
            return pb.UnaryResponse()

        peers = await start("tcp", echo(Unary=handler), interceptors=interceptors_for_tcp())
        error = None
        try:
            await stub_of(peers).Unary(pb.UnaryRequest(), timeout=10)
        except grpc.aio.AioRpcError as raised:
            error = raised
        return len(attempts), error

    async def test_of_a_connection_that_breaks(self, start):
        async def break_off(context):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")

        assert await self.calls_until(start, break_off) == (3, None)

    async def test_not_of_a_refusal(self, start):
        async def refuse(context):
            raise DependencyUnavailable("The store is away.")

        attempts, error = await self.calls_until(start, refuse)

        assert attempts == 1
        assert error.code() == grpc.StatusCode.UNAVAILABLE

    async def test_not_of_any_other_failure(self, start):
        async def fail(context):
            await context.abort(grpc.StatusCode.ABORTED, "conflict")

        attempts, error = await self.calls_until(start, fail)

        assert attempts == 1
        assert error.code() == grpc.StatusCode.ABORTED

    async def test_not_after_the_first_message(self, start):
        attempts = []

        async def handler(request, context):
            attempts.append(1)
            await context.write(pb.DownloadResponse())
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")

        peers = await start("tcp", echo(Download=handler))
        call = stub_of(peers).Download(pb.DownloadRequest(), timeout=10)
        await call.read()
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()

        assert attempts == [1]


async def test_calls_are_spread_over_all_addresses():
    counts = {0: 0, 1: 0}
    servers, ports = [], []
    for number in counts:

        async def handler(request, context, number=number):
            counts[number] += 1
            return pb.UnaryResponse()

        server = grpc.aio.server()
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        pb_grpc.add_EchoServiceServicer_to_server(echo(Unary=handler), server)
        await server.start()
        servers.append(server)
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    async with Peers(PeersSettings(accounting=target)) as peers:
        # The first calls may go before the second connection stands.
        while not all(counts.values()):
            await stub_of(peers).Unary(pb.UnaryRequest(), timeout=60)
        counts.update({0: 0, 1: 0})
        for _ in range(10):
            await stub_of(peers).Unary(pb.UnaryRequest(), timeout=60)
    for server in servers:
        await server.stop(None)

    assert counts == {0: 5, 1: 5}
