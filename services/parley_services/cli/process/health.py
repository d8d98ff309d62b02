"""`parley health`: which services answer."""

import asyncio
from typing import Annotated

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.table import Table

from parley_services.cli.connection import open_peers
from parley_services.cli.console import console
from parley_services.kit.rpc.peers import SERVICES, Peers

_TIMEOUT_SECONDS = 2.0

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Which services. All if none.")
]


def health(names: Names = None) -> None:
    """Ask services whether they can answer. Exits with 1 if one cannot."""
    states = asyncio.run(_ask(names or list(SERVICES)))
    table = Table("service", "health")
    for name, state in states.items():
        colour = "green" if state == "SERVING" else "red"
        table.add_row(name, f"[{colour}]{state}[/{colour}]")
    console.print(table)
    if any(state != "SERVING" for state in states.values()):
        raise typer.Exit(1)


async def _ask(names: list[str]) -> dict[str, str]:
    async with open_peers() as peers:
        return dict(zip(names, await health_of(peers, names), strict=True))


async def health_of(peers: Peers, names: list[str]) -> list[str]:
    """Return the health of each of *names*: SERVING, NOT_SERVING, or why there is no answer."""

    async def one(name: str) -> str:
        try:
            stub = health_pb2_grpc.HealthStub(peers.channel(name))
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(service=name), timeout=_TIMEOUT_SECONDS
            )
        except ValueError:
            return "UNKNOWN SERVICE"
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    return list(await asyncio.gather(*(one(name) for name in names)))
