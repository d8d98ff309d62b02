"""Gives a service its channels to the other services, wherever they run."""

import json
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import grpc
from pydantic_settings import SettingsConfigDict

from parley_services.kit.rpc import request_context
from parley_services.kit.rpc.in_process import InProcessChannel, InProcessServer
from parley_services.kit.rpc.interceptors import SERVICE_TOKEN_KEY
from parley_services.kit.settings import ParleySettings

Options: TypeAlias = tuple[tuple[str, str | int], ...]
Pairs: TypeAlias = tuple[tuple[str, str | bytes], ...]

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Largest message that is sent or accepted over TCP; grpc's own default."""

KEEPALIVE_SECONDS: Final = 30.0
"""How often a client asks whether a quiet connection still lives. A server must allow
it: see `ServerSettings.min_ping_interval_seconds`."""

PING_TIMEOUT_SECONDS: Final = 10.0
"""How long it waits for the answer before it gives the connection up."""

_RETRY_POLICY: Final = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


class PeersSettings(ParleySettings):
    """Where the services that do not run in this process are."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_PEERS_")

    orchestrator: str = "dns:///localhost:50051"
    """Address of the orchestrator, a gRPC target. `dns:///name:port` spreads calls over all
    addresses of the name, `ipv4:a:port,b:port` over those given. The default is the port
    at which the service listens when it runs alone."""

    guardrails: str = "dns:///localhost:50052"
    """Address of guardrails, a gRPC target."""

    semantic_cache: str = "dns:///localhost:50053"
    """Address of the semantic cache, a gRPC target."""

    prompt_registry: str = "dns:///localhost:50054"
    """Address of the prompt registry, a gRPC target."""

    model_router: str = "dns:///localhost:50055"
    """Address of the model router, a gRPC target."""

    accounting: str = "dns:///localhost:50056"
    """Address of accounting, a gRPC target."""

    def address_of(self, service: str) -> str:
        """Return the target of *service*. Raises ValueError if there is no such service."""
        if service not in SERVICES:
            raise ValueError(f"There is no service {service!r}; there are {', '.join(SERVICES)}.")
        address: str = getattr(self, service)
        return address


SERVICES: Final = tuple(
    name for name in PeersSettings.model_fields if name not in ParleySettings.model_fields
)
"""Names of the services that can be peers."""


class Peers:
    """
    Channels by service name: in process if the peer is here, else over TCP.

    Channels are shared; they and the stubs upon them may be made before the peer runs.
    Each call carries `x-request-id` and `traceparent` of the request that the caller
    serves, and over TCP the service token; metadata that the caller gives is kept. A
    deadline does not travel by itself: give `timeout=`.

    Over TCP, calls go round robin, and one that fails as UNAVAILABLE before the first
    message came back is tried up to 3 times in all. A service that refuses with
    UNAVAILABLE itself is not asked again, for it has tried what it could. So every method
    but `Chat` must bear being called twice, which their `request_id` is for.
    """

    def __init__(
        self,
        settings: PeersSettings,
        *,
        server: InProcessServer | None = None,
        here: Collection[str] = (),
    ) -> None:
        """Reach the services named in *here* on *server* and all others by *settings*."""
        self._settings = settings
        self._server = server
        self._here = frozenset(here)
        self._channels: dict[str, PeerChannel] = {}

    def is_here(self, service: str) -> bool:
        """Whether *service* runs in this process."""
        return self._server is not None and service in self._here

    def channel(self, service: str) -> grpc.aio.Channel:
        """Return the channel to *service*. Raises ValueError if there is no such service."""
        if service not in self._channels:
            self._channels[service] = self._open(service)
        return self._channels[service]

    async def close(self) -> None:
        """Close all channels, which cancels the calls in flight."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    def _open(self, service: str) -> "PeerChannel":
        if self._server is not None and service in self._here:
            return PeerChannel(InProcessChannel(self._server))
        target = self._settings.address_of(service)
        options = channel_options(retries=service != "orchestrator")
        token = self._settings.service_token.get_secret_value()
        return PeerChannel(
            grpc.aio.insecure_channel(target, options=options),
            metadata=((SERVICE_TOKEN_KEY, token),) if token else (),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


def channel_options(*, retries: bool) -> Options:
    """Return the options of a TCP channel to a peer."""
    service_config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retries:
        service_config["methodConfig"] = [{"name": [{}], "retryPolicy": _RETRY_POLICY}]
    return (
        ("grpc.service_config", json.dumps(service_config)),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # keepalive_timeout_ms does nothing in this version of grpc; this one does.
        ("grpc.keepalive_time_ms", round(KEEPALIVE_SECONDS * 1000)),
        ("grpc.http2.ping_timeout_ms", round(PING_TIMEOUT_SECONDS * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        # New replicas are seen when a connection ends and the name is looked up again.
        ("grpc.dns_min_time_between_resolutions_ms", 5_000),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    )


class PeerChannel(grpc.aio.Channel):
    """A channel whose calls carry the context of the request that the caller serves."""

    def __init__(self, channel: grpc.aio.Channel, *, metadata: Pairs = ()) -> None:
        """Wrap *channel*; *metadata* goes with every call."""
        self._channel = channel
        self._metadata = metadata

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _WithMetadata(self, self._channel.unary_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _WithMetadata(self, self._channel.unary_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _WithMetadata(self, self._channel.stream_unary(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _WithMetadata(self, self._channel.stream_stream(method, *args, **kwargs))

    def metadata_with(self, given: Iterable[tuple[str, str | bytes]] | None) -> Pairs:
        """Return what a call carries whose caller gave *given*."""
        own: Pairs = request_context.current().metadata
        if self._metadata:
            own = own + self._metadata
        if given:
            own = own + tuple(given)
        return own

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


class _WithMetadata:
    """A multi-callable of any kind, which adds metadata to what the caller gives."""

    __slots__ = ("_call", "_channel")

    def __init__(self, channel: PeerChannel, call: Any) -> None:
        self._channel = channel
        self._call = call

    def __call__(self, *args: Any, metadata: Any = None, **kwargs: Any) -> Any:
        return self._call(*args, metadata=self._channel.metadata_with(metadata), **kwargs)
