"""
How long a move of a label takes to reach every replica and whoever watches it.

    python -m bench.prompts_watch [--moves 20]

Three registries on one PostgreSQL, each with its own watch over TCP and the default settings:
the label `production` is moved on the first one, and the time is taken until the slowest of
the three watches has it. Needs PostgreSQL's programs on the machine.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc
from parley_services.prompt_registry.app import open_prompt_registry
from parley_services.prompt_registry.settings import PromptRegistrySettings
from rich.console import Console

from tests.support import postgres
from tests.support.serving import served

REPLICAS = 3
TEMPLATE = "general_chat"
TIMEOUT_SECONDS = 600.0


async def until_version(call: grpc.aio.UnaryStreamCall, version: int) -> None:
    """Read the watch *call* until the label `production` points to *version*."""
    while True:
        message = await call.read()
        states = [message.template, *message.snapshot.templates]
        if any(
            each.template.name == TEMPLATE and label.name == "production"
            for each in states
            for label in each.template.labels
            if label.version == version
        ):
            return


async def measure(url: str, folder: Path, moves: int) -> list[float]:
    """Return the seconds of each move."""
    async with AsyncExitStack() as stack:
        stubs = []
        for _ in range(REPLICAS):
            settings = PromptRegistrySettings(data_dir=folder, database_url=url)
            register = await stack.enter_async_context(open_prompt_registry(settings))
            channel = await stack.enter_async_context(served("tcp", register))
            stubs.append(pb_grpc.PromptRegistryServiceStub(channel))
        calls = [
            stub.WatchTemplates(pb.WatchTemplatesRequest(), timeout=TIMEOUT_SECONDS)
            for stub in stubs
        ]
        await asyncio.gather(*(until_version(call, 1) for call in calls))
        taken = []
        for number in range(moves):
            version = 2 - number % 2
            request = pb.SetLabelRequest(template=TEMPLATE, label="production", version=version)
            start = time.perf_counter()
            await stubs[0].SetLabel(request, timeout=TIMEOUT_SECONDS)
            await asyncio.gather(*(until_version(call, version) for call in calls))
            taken.append(time.perf_counter() - start)
        for call in calls:
            call.cancel()
    return sorted(taken)


def main() -> None:
    """Print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=20)
    arguments = parser.parse_args()
    with postgres.cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        taken = asyncio.run(measure(cluster.new_database(), Path(folder), arguments.moves))
    Console().print(
        f"{len(taken)} moves, {REPLICAS} replicas: median {statistics.median(taken):.2f} s, "
        f"slowest {taken[-1]:.2f} s"
    )


if __name__ == "__main__":
    main()
