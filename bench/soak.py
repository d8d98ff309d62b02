"""
Whether memory stays flat over many chats.

    python -m bench.soak [--chats 100000] [--rows 10]

Starts the suite in one process with embedded defaults and the simulated provider at no delay,
runs the chats sixteen at once, half of them questions that were asked before, and prints the
process's memory and CPU for each part of the run.
"""

import argparse
import asyncio
import random

from parley_client import Parley
from rich.console import Console
from rich.table import Table

from bench.chat import CASES, ENVIRONMENT, one_chat
from bench.processes import cpu_seconds, memory_mib
from tests.support.processes import KEY, Suite, suite

CONCURRENCY = 16
NEW, _, REPEATED = CASES


async def run_part(running: Suite, chats: int, draw: random.Random) -> float:
    """Run *chats* chats and return the CPU milliseconds that each took."""
    before = cpu_seconds(*running.pids)
    async with Parley(running.address, api_key=KEY) as parley:

        async def worker() -> None:
            for number in range(chats // CONCURRENCY):
                await one_chat(parley, REPEATED if number % 2 else NEW, draw)

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return (cpu_seconds(*running.pids) - before) / chats * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=10)
    arguments = parser.parse_args()
    draw = random.Random("soak")
    part = arguments.chats // arguments.rows
    table = Table("chats", "MiB", "CPU ms a chat")
    with suite(apart=False, environment=ENVIRONMENT) as running:
        asyncio.run(run_part(running, 320, draw))
        table.add_row("320", f"{memory_mib(*running.pids):.0f}", "")
        for number in range(1, arguments.rows + 1):
            cpu = asyncio.run(run_part(running, part, draw))
            table.add_row(
                f"{320 + number * part:,}", f"{memory_mib(*running.pids):.0f}", f"{cpu:.2f}"
            )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
