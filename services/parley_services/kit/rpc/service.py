"""How a service plugs into a process."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import grpc

from parley_services.kit.clock import Clock
from parley_services.kit.rpc.health import Health
from parley_services.kit.rpc.peers import Peers

Register: TypeAlias = Callable[[grpc.aio.Server], None]
"""Adds a service's servicers to a server. Called once for the port and once for the
in-process server, with the same servicer objects behind."""


class OpenService(Protocol):
    """
    Opens what a service needs and yields how to register it; closes it on leaving.

    It reads its own settings, so that `parley serve` need not know them. It must not call
    peers in the same process before it has yielded: no call is served until all services
    are open. On leaving, the services that it depends on still answer.
    """

    def __call__(
        self, *, peers: Peers, health: Health, clock: Clock
    ) -> AbstractAsyncContextManager[Register]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    """What a process must know of a service in order to run it."""

    name: str
    """Name of its folder, on the command line and in `PARLEY_PEERS_<NAME>`."""

    proto_service_full_name: str
    """As `parley.accounting.v1.AccountingService`; its name for health checks."""

    default_port: int
    """Where it listens when it is alone in its process."""

    open: OpenService

    more_proto_services: tuple[str, ...] = ()
    """Full names of further proto services that it registers."""

    @property
    def proto_services(self) -> tuple[str, ...]:
        """Full names of all that it registers."""
        return (self.proto_service_full_name, *self.more_proto_services)
