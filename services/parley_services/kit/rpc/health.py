"""Tells callers which services of this process can answer."""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as grpc_health

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """
    The grpc.health.v1 service of a process.

    It knows each service by its short name and by the full names of its proto services,
    and the process as a whole by the empty name. A service starts as serving and says
    itself when it cannot: when its store is away. The process as a whole is serving
    until it drains, whatever its services say, for a service that is away costs the
    others only what it does for them.
    """

    def __init__(self, services: Mapping[str, Iterable[str]]) -> None:
        """Know *services*: the full names of the proto services by short name."""
        self._names = {name: (name, *full_names) for name, full_names in services.items()}
        self._serving = dict.fromkeys(self._names, True)
        self._open = False
        self._servicer = grpc_health.HealthServicer()

    async def set(self, service_name: str, serving: bool) -> None:
        """
        Say whether *service_name*, a short name, can answer. Ignored while draining.

        Raises KeyError for a service that is not of this process.
        """
        self._names[service_name]
        self._serving[service_name] = serving
        if self._open:
            await self._publish(service_name)

    def is_serving(self, service_name: str) -> bool:
        """Whether *service_name* last said that it can answer."""
        return self._serving[service_name]

    async def open(self) -> None:
        """Publish what the services said; until now, none was serving."""
        self._open = True
        for name in self._names:
            await self._publish(name)
        await self._servicer.set("", _SERVING)

    async def drain(self) -> None:
        """Say for good that nothing of this process is serving."""
        await self._servicer.enter_graceful_shutdown()

    async def prepare(self) -> None:
        """Make all names known, as not serving."""
        for names in self._names.values():
            for name in names:
                await self._servicer.set(name, _NOT_SERVING)
        await self._servicer.set("", _NOT_SERVING)

    def register(self, server: grpc.aio.Server) -> None:
        """Serve the health checks on *server*."""
        add: Any = health_pb2_grpc.add_HealthServicer_to_server
        add(self._servicer, server)

    async def _publish(self, service_name: str) -> None:
        status = _SERVING if self._serving[service_name] else _NOT_SERVING
        for name in self._names[service_name]:
            await self._servicer.set(name, status)
