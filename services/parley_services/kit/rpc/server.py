"""Runs services in this process until it is told to stop, then drains them."""

import asyncio
import ipaddress
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any, Final

import grpc
import structlog
from grpc_reflection.v1alpha import reflection
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley_services.kit.clock import Clock, SystemClock
from parley_services.kit.rpc.health import Health
from parley_services.kit.rpc.in_process import InProcessServer
from parley_services.kit.rpc.interceptors import interceptors_for_tcp, interceptors_in_process
from parley_services.kit.rpc.peers import (
    KEEPALIVE_SECONDS,
    MAX_MESSAGE_BYTES,
    Options,
    Peers,
    PeersSettings,
)
from parley_services.kit.rpc.service import ServiceDefinition
from parley_services.kit.settings import ParleySettings

log = structlog.get_logger()

ALL_IN_ONE_PORT: Final = 50050
"""Where a process listens that runs more than one service."""


class StartRefused(Exception):
    """A process cannot start as it is set up; the text says why and what to do."""


class ServerSettings(ParleySettings):
    """How a process listens and stops."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_SERVER_")

    address: str = ""
    """Where to listen: `host:port`, `[ipv6]:port` or `unix:path`; port 0 picks a free one.
    Empty, the default, is loopback and the service's own port, or 50050 for a process that
    runs several. An address that is not loopback needs PARLEY_SERVICE_TOKEN."""

    drain_seconds: float = Field(default=5.0, ge=0)
    """Seconds between NOT_SERVING and the end of listening. The default lets a load
    balancer that asks every 2 to 3 seconds look away first."""

    grace_seconds: float = Field(default=30.0, ge=0)
    """Seconds that the calls in flight have to end, after that, before they are cancelled.
    The default is the deadline of a chat whose client set none."""

    max_message_bytes: int = Field(default=MAX_MESSAGE_BYTES, ge=64 * 1024)
    """Largest message that is accepted or sent, in bytes. The default is grpc's own."""

    max_concurrent_rpcs: int = Field(default=4096, ge=1)
    """Calls that run at once over TCP; those above it get RESOURCE_EXHAUSTED. The default
    is ten times the streams that one process was measured to hold without a pause."""

    keepalive_seconds: float = Field(default=60.0, ge=1)
    """Seconds without traffic after which the server asks whether a client still lives."""

    ping_timeout_seconds: float = Field(default=20.0, gt=0)
    """Seconds that it waits for the answer before it gives the connection up."""

    min_ping_interval_seconds: float = Field(default=15.0, gt=0, lt=KEEPALIVE_SECONDS)
    """The least seconds between a client's own such questions; a client that asks more
    often is cut off. Must be under the 30 seconds of Parley's channels; the default is
    half of that, since timers jitter."""

    max_connection_age_seconds: float = Field(default=300.0, ge=1)
    """Seconds after which a connection is closed softly, so that clients look the name up
    again and find new replicas."""

    max_connection_age_grace_seconds: float = Field(default=600.0, ge=1)
    """Seconds that the calls on such a connection have to end. At least the longest chat."""


class Host:
    """
    Runs *services* in this process, as an async context manager.

    One port serves them all over TCP, with health checks and reflection; one in-process
    server serves them to each other. They are opened in the order given and closed in
    reverse: name first those that others call.

    Leaving drains: all is NOT_SERVING, then `drain_seconds` pass, then no new calls are
    taken, then those in flight have `grace_seconds`, then the services close.
    """

    def __init__(
        self,
        services: Sequence[ServiceDefinition],
        settings: ServerSettings,
        *,
        peers: PeersSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._services = services
        self._settings = settings
        self._clock = clock or SystemClock()
        self._hurry = asyncio.Event()
        self._stack = AsyncExitStack()
        self.in_process = InProcessServer(interceptors=interceptors_in_process())
        """Serves the same services without a socket."""
        self.peers = Peers(
            peers or PeersSettings(),
            server=self.in_process,
            here=[service.name for service in services],
        )
        self.health = Health({service.name: service.proto_services for service in services})
        self.port = 0
        """Where it listens, once started."""

    @property
    def address(self) -> str:
        """Where it listens, or will."""
        if self._settings.address:
            return self._settings.address
        alone = len(self._services) == 1
        return f"127.0.0.1:{self._services[0].default_port if alone else ALL_IN_ONE_PORT}"

    def hurry(self) -> None:
        """Cut the draining short: do not wait, and cancel what is in flight."""
        self._hurry.set()

    async def __aenter__(self) -> "Host":
        """Open the services and listen. Raises StartRefused."""
        token = self._settings.service_token.get_secret_value()
        if not token and not is_loopback(self.address):
            raise StartRefused(
                f"{self.address} can be reached from other machines, and PARLEY_SERVICE_TOKEN "
                "is empty, so anybody could call the services: set it, or listen on 127.0.0.1."
            )
        async with AsyncExitStack() as stack:
            await self._start(stack, token)
            self._stack = stack.pop_all()
        log.info("serving", port=self.port, services=[service.name for service in self._services])
        return self

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        log.info("draining")
        try:
            return await self._stack.__aexit__(*exc_info)
        finally:
            log.info("stopped")

    async def _start(self, stack: AsyncExitStack, token: str) -> None:
        tcp = grpc.aio.server(
            interceptors=interceptors_for_tcp(service_token=token),
            options=server_options(self._settings),
            maximum_concurrent_rpcs=self._settings.max_concurrent_rpcs,
        )
        # Last in, first out: the port, then the services, which may still call each
        # other while they close, then what carries those calls.
        await stack.enter_async_context(self.peers)
        stack.push_async_callback(self.in_process.stop, None)
        await self.health.prepare()
        for service in self._services:
            opening = service.open(peers=self.peers, health=self.health, clock=self._clock)
            try:
                register = await stack.enter_async_context(opening)
            except OSError as error:
                raise StartRefused(
                    f"The service {service.name} cannot start: {error}. PARLEY_DATA_DIR names "
                    "the folder for its data, which it must be able to write."
                ) from error
            register(_ByName(tcp))
            register(self.in_process)
        self._add_common_services(_ByName(tcp))
        self._add_common_services(self.in_process)
        self.port = _bind(tcp, self.address)
        await self.in_process.start()
        await tcp.start()
        stack.push_async_callback(self._drain, tcp)
        await self.health.open()

    def _add_common_services(self, server: grpc.aio.Server) -> None:
        self.health.register(server)
        names = [name for service in self._services for name in service.proto_services]
        names += [reflection.SERVICE_NAME, "grpc.health.v1.Health"]
        reflection.enable_server_reflection(names, server)

    async def _drain(self, tcp: grpc.aio.Server) -> None:
        await self.health.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._hurry.wait()
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(tcp.stop(self._settings.grace_seconds))
            hurrying = group.create_task(self._hurry.wait())
            await asyncio.wait([stopping, hurrying], return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await tcp.stop(None)
            hurrying.cancel()


class _ByName(grpc.aio.Server):
    """
    A server as servicers register at it: it finds their methods by name only.

    For methods that are registered, too, grpc.aio keeps a task each that waits for the next
    call, and at each call it waits for all of these tasks anew: 300 Python calls with 70
    methods.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        self._server.add_generic_rpc_handlers(tuple(generic_rpc_handlers))

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Any]
    ) -> None:
        """Do nothing: the same methods come as a generic handler, too."""

    def add_insecure_port(self, address: str) -> int:
        return self._server.add_insecure_port(address)

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        return self._server.add_secure_port(address, server_credentials)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, grace: float | None) -> None:
        await self._server.stop(grace)

    async def wait_for_termination(  # the name of the argument is grpc's
        self,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> bool:
        return await self._server.wait_for_termination(timeout)


async def serve(host: Host) -> None:
    """
    Run *host* until SIGTERM or SIGINT, drain, and return. A second signal hurries it.

    Raises StartRefused. Cancelled, it drains as well.
    """
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            host.hurry()
        stop.set()

    with _on_stop_signals(on_signal):
        async with host:
            await stop.wait()


@contextmanager
def _on_stop_signals(callback: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, callback)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


def server_options(settings: ServerSettings) -> Options:
    """Return *settings* as grpc's channel arguments."""
    return (
        # One process a port: the kernel spreads connections, not calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", _ms(settings.keepalive_seconds)),
        ("grpc.http2.ping_timeout_ms", _ms(settings.ping_timeout_seconds)),
        ("grpc.http2.max_pings_without_data", 0),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            _ms(settings.min_ping_interval_seconds),
        ),
        ("grpc.max_connection_age_ms", _ms(settings.max_connection_age_seconds)),
        ("grpc.max_connection_age_grace_ms", _ms(settings.max_connection_age_grace_seconds)),
    )


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach *address*."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError:
        raise StartRefused(
            f"Cannot listen on {address}: another process does, or it is no address of this "
            "machine. Set PARLEY_SERVER_ADDRESS."
        ) from None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
