"""Services for the tests of what runs services."""

from contextlib import asynccontextmanager

from parley_services.kit.rpc.server import ServerSettings
from parley_services.kit.rpc.service import ServiceDefinition

from tests.support.echo import SERVICE, Echo, pb_grpc


def definition(name="accounting", *, servicer=None, opened=None, log=None, port=0):
    """
    Return a service that registers an Echo under *name*.

    *opened*, if given, is called with what the process hands to the service. *log*
    collects when it opens and closes.
    """
    log = log if log is not None else []

    @asynccontextmanager
    async def open_echo(*, peers, health, clock):
        log.append(f"open {name}")
        if opened is not None:
            await opened(peers=peers, health=health, clock=clock)
        try:
            yield lambda server: pb_grpc.add_EchoServiceServicer_to_server(
                servicer or Echo(), server
            )
        finally:
            log.append(f"close {name}")

    return ServiceDefinition(
        name=name, proto_service_full_name=SERVICE, default_port=port, open=open_echo
    )


def settings(**changes) -> ServerSettings:
    """Return settings for a free port on loopback that drain at once."""
    return ServerSettings(
        **{"address": "127.0.0.1:0", "drain_seconds": 0.0, "grace_seconds": 5.0} | changes
    )
