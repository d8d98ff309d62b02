"""How commands reach the services: all at one address, or each at its own."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from parley_services.cli.console import print_refusal
from parley_services.kit.rpc.peers import SERVICES, Peers, PeersSettings
from parley_services.kit.settings import ParleySettings

T = TypeVar("T")

_PROBE_SECONDS = 1.0
_BOOTSTRAP_KEY = "bootstrap.key"


class CliSettings(ParleySettings):
    """Where commands connect to, and as whom."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_CLI_")

    address: str = "localhost:50050"
    """Where a process with several services listens. Services that are not there are looked
    for at their PARLEY_PEERS_ address."""

    api_key: SecretStr = Field(default=SecretStr(""), validation_alias="PARLEY_API_KEY")
    """The API key of `parley chat`. Empty: the one that accounting left in the data folder
    when it first started."""

    def key(self) -> str:
        """Return the API key, empty if there is none."""
        given = self.api_key.get_secret_value()
        path: Path = self.data_dir / _BOOTSTRAP_KEY
        if given or not path.is_file():
            return given
        return path.read_text().strip()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* and return its result. A call that is refused is one line, and exit code 1."""
    try:
        return asyncio.run(work)
    except grpc.aio.AioRpcError as error:
        print_refusal(error)
        raise typer.Exit(1) from error


@asynccontextmanager
async def open_peers() -> AsyncGenerator[Peers, None]:
    """Yield channels to all services, wherever they run."""
    settings = CliSettings()
    served = await _served_at(settings.address)
    addresses = {name: settings.address for name in served}
    async with Peers(PeersSettings(**addresses)) as peers:  # type: ignore[arg-type]
        yield peers


async def _served_at(address: str) -> list[str]:
    """Return the services that the process at *address* runs."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def is_served(name: str) -> bool:
            try:
                await stub.Check(
                    health_pb2.HealthCheckRequest(service=name), timeout=_PROBE_SECONDS
                )
            except grpc.aio.AioRpcError:
                return False
            return True

        found = await asyncio.gather(*(is_served(name) for name in SERVICES))
    return [name for name, here in zip(SERVICES, found, strict=True) if here]
