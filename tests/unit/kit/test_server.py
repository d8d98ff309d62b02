import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from parley_services.kit.clock import SystemClock
from parley_services.kit.rpc.in_process import InProcessChannel
from parley_services.kit.rpc.peers import KEEPALIVE_SECONDS, channel_options
from parley_services.kit.rpc.server import (
    Host,
    ServerSettings,
    StartRefused,
    is_loopback,
    serve,
    server_options,
)
from pydantic import ValidationError

from tests.support.echo import SERVICE, echo, pb, pb_grpc
from tests.support.hosting import definition, settings
from tests.support.waiting import eventually, until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def channel_to(host):
    return grpc.aio.insecure_channel(f"127.0.0.1:{host.port}")


async def status_of(channel, service=""):
    stub = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)).status


class TestServing:
    async def test_over_tcp_and_in_process(self):
        async with Host([definition()], settings()) as host, channel_to(host) as tcp:
            for channel in (tcp, InProcessChannel(host.in_process)):
                stub = pb_grpc.EchoServiceStub(channel)
                assert (await stub.Unary(pb.UnaryRequest(text="hi"), timeout=60)).text == "hi"

    async def test_services_open_in_order_and_close_in_reverse(self):
        log = []
        services = [definition(name, log=log) for name in ("accounting", "guardrails")]
        async with Host(services, settings()):
            pass

        assert log == [
            "open accounting",
            "open guardrails",
            "close guardrails",
            "close accounting",
        ]

    async def test_service_that_fails_to_open_closes_those_before_it(self):
        async def fail(**_):
            raise RuntimeError("no store")

        log = []
        services = [definition("accounting", log=log), definition("guardrails", opened=fail)]
        with pytest.raises(RuntimeError, match="no store"):
            async with Host(services, settings()):
                pass

        assert log == ["open accounting", "close accounting"]

    async def test_service_reaches_its_peers_in_the_process(self):
        seen = {}

        async def opened(*, peers, health, clock):
            seen["peers"], seen["clock"] = peers, clock

        async with Host([definition("accounting", opened=opened)], settings()):
            stub = pb_grpc.EchoServiceStub(seen["peers"].channel("accounting"))
            assert (await stub.Unary(pb.UnaryRequest(text="hi"), timeout=60)).text == "hi"

        assert isinstance(seen["clock"], SystemClock)

    async def test_alone_it_listens_on_its_own_port_and_else_on_the_common_one(self):
        alone = Host([definition(port=50056)], ServerSettings())
        several = Host([definition("a", port=1), definition("b", port=2)], ServerSettings())

        assert alone.address == "127.0.0.1:50056"
        assert several.address == "127.0.0.1:50050"


class TestRefusalToStart:
    @pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.com:50050"])
    async def test_without_a_token_beyond_loopback(self, address):
        with pytest.raises(StartRefused, match="PARLEY_SERVICE_TOKEN"):
            async with Host([definition()], settings(address=address)):
                pass

    async def test_data_folder_that_cannot_be_written(self):
        async def opened(**_):
            raise PermissionError(13, "Permission denied", "/data")

        with pytest.raises(StartRefused, match=r"accounting cannot start.*'/data'.*DATA_DIR"):
            async with Host([definition("accounting", opened=opened)], settings()):
                pass

    async def test_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(StartRefused, match="another process"):
                async with Host([definition()], settings(address=address)):
                    pass

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("127.0.0.1:1", True),
            ("127.8.8.8:1", True),
            ("localhost:1", True),
            ("[::1]:1", True),
            ("unix:/run/parley.sock", True),
            ("0.0.0.0:1", False),
            ("[::]:1", False),
            ("10.0.0.1:1", False),
            ("localhost.example.com:1", False),
        ],
    )
    def test_is_loopback(self, address, expected):
        assert is_loopback(address) is expected


class TestHealth:
    async def test_of_the_process_and_of_each_service(self):
        async with Host([definition()], settings()) as host, channel_to(host) as channel:
            for name in ("", "accounting", SERVICE):
                assert await status_of(channel, name) == SERVING
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await status_of(channel, "no such service")

        assert caught.value.code() == grpc.StatusCode.NOT_FOUND

    async def test_service_says_that_it_cannot_answer(self):
        async with Host([definition()], settings()) as host, channel_to(host) as channel:
            await host.health.set("accounting", False)
            assert not host.health.is_serving("accounting")
            assert await status_of(channel, SERVICE) == NOT_SERVING
            assert await status_of(channel, "") == SERVING
            await host.health.set("accounting", True)
            assert await status_of(channel, SERVICE) == SERVING

    async def test_service_that_is_away_from_the_start(self):
        async def opened(*, peers, health, clock):
            await health.set("accounting", False)

        service = definition(opened=opened)
        async with Host([service], settings()) as host, channel_to(host) as channel:
            assert await status_of(channel, "accounting") == NOT_SERVING

    async def test_of_a_service_elsewhere(self):
        async with Host([definition()], settings()) as host:
            with pytest.raises(KeyError):
                await host.health.set("guardrails", False)

    async def test_watch(self):
        async with Host([definition()], settings()) as host, channel_to(host) as channel:
            request = health_pb2.HealthCheckRequest(service="accounting")
            watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=60)
            assert (await watch.read()).status == SERVING
            await host.health.set("accounting", False)
            assert (await watch.read()).status == NOT_SERVING
            watch.cancel()


async def test_reflection():
    async with Host([definition()], settings()) as host, channel_to(host) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = [answer async for answer in stub.ServerReflectionInfo(iter([ask]))]

    names = {service.name for service in answer.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


async def test_token_is_asked_for_over_tcp_only():
    guarded = settings(service_token="hush")
    async with Host([definition()], guarded) as host, channel_to(host) as tcp:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.EchoServiceStub(tcp).Unary(pb.UnaryRequest(), timeout=60)
        own = pb_grpc.EchoServiceStub(InProcessChannel(host.in_process))
        await own.Unary(pb.UnaryRequest(), timeout=60)
        assert await status_of(tcp) == SERVING

    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


class TestStopping:
    @pytest.fixture
    async def running(self):
        """Runs an Echo by `serve`; its Download sends one message and then waits."""

        class Running:
            def __init__(self):
                self.go_on = asyncio.Event()
                self.host = Host(
                    [definition(servicer=echo(Download=self.download))],
                    settings(drain_seconds=30.0, grace_seconds=30.0),
                )

            async def download(self, request, context):
                await context.write(pb.DownloadResponse(index=0))
                await self.go_on.wait()
                await context.write(pb.DownloadResponse(index=1))

        running = Running()
        running.task = asyncio.create_task(serve(running.host))
        await until(lambda: running.host.port)
        async with channel_to(running.host) as running.channel:
            running.stub = pb_grpc.EchoServiceStub(running.channel)
            yield running
        running.host.hurry()
        await running.task

    async def drained(self, channel):
        async def has_drained():
            return await status_of(channel) == NOT_SERVING

        await eventually(has_drained)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_signal_lets_calls_in_flight_end(self, running, number):
        call = running.stub.Download(pb.DownloadRequest(), timeout=30)
        await call.read()
        os.kill(os.getpid(), number)
        await self.drained(running.channel)
        assert await status_of(running.channel, "accounting") == NOT_SERVING
        # Still listening: who has not looked away yet is served.
        await running.stub.Unary(pb.UnaryRequest(), timeout=60)
        running.go_on.set()

        assert (await call.read()).index == 1
        assert await call.read() is grpc.aio.EOF

    async def test_second_signal_hurries(self, running):
        call = running.stub.Download(pb.DownloadRequest(), timeout=30)
        await call.read()
        os.kill(os.getpid(), signal.SIGTERM)
        await self.drained(running.channel)
        os.kill(os.getpid(), signal.SIGTERM)
        await running.task

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

    async def test_calls_that_outlast_the_grace_are_ended(self):
        async def hang(request, context):
            started.set()
            await asyncio.Event().wait()

        started = asyncio.Event()
        service = definition(servicer=echo(Unary=hang))
        async with Host([service], settings(grace_seconds=0.05)) as host, channel_to(host) as tcp:
            call = pb_grpc.EchoServiceStub(tcp).Unary(pb.UnaryRequest(), timeout=30)
            await started.wait()
            await host.__aexit__(None, None, None)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call

        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE

    async def test_service_may_call_its_peers_while_it_closes(self):
        booked = []

        @asynccontextmanager
        async def open_above(*, peers, health, clock):
            yield lambda server: None
            stub = pb_grpc.EchoServiceStub(peers.channel("accounting"))
            booked.append((await stub.Unary(pb.UnaryRequest(text="booked"), timeout=60)).text)

        above = replace(definition("orchestrator"), open=open_above)
        async with Host([definition("accounting"), above], settings()):
            pass

        assert booked == ["booked"]


class TestPings:
    def test_server_allows_what_clients_do(self):
        server = dict(server_options(ServerSettings()))
        client = dict(channel_options(retries=True))

        assert (
            client["grpc.keepalive_time_ms"]
            > server["grpc.http2.min_ping_interval_without_data_ms"]
        )

    def test_server_that_would_not_is_refused(self):
        with pytest.raises(ValidationError):
            ServerSettings(min_ping_interval_seconds=KEEPALIVE_SECONDS)
