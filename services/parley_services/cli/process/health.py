"""`parley health`: which services answer."""

import asyncio
from typing import Annotated

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc
from rich.table import Table

from parley_services.cli.connection import open_peers
from parley_services.cli.console import console, styled
from parley_services.cli.models import resting_keys
from parley_services.kit.rpc.peers import SERVICES, Peers

_TIMEOUT_SECONDS = 2.0

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Which services. All if none.")
]


def health(names: Names = None) -> None:
    """Ask services whether they can answer. Exits with 1 if one cannot."""
    states, notes = asyncio.run(_ask(names or list(SERVICES)))
    table = Table("service", "health")
    for name, state in states.items():
        colour = "green" if state == "SERVING" else "red"
        table.add_row(name, styled((state, colour)))
    console.print(table)
    for line in notes:
        console.print(line, style="yellow")
    if any(state != "SERVING" for state in states.values()):
        raise typer.Exit(1)


async def _ask(names: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the health of each of *names*, and lines about what is not as it should be."""
    async with open_peers() as peers:
        states = dict(zip(names, await health_of(peers, names), strict=True))
        notes = await _notes_of_router(peers) if "model_router" in names else []
        return states, notes


async def _notes_of_router(peers: Peers) -> list[str]:
    stub: pb_grpc.ModelRouterServiceAsyncStub = pb_grpc.ModelRouterServiceStub(
        peers.channel("model_router")
    )
    try:
        listed = await stub.ListModels(pb.ListModelsRequest(), timeout=_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError:
        return []  # The table says so.
    return resting_keys(listed)


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
