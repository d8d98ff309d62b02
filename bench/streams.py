"""
How many streams one process holds at once, and whether each still flows.

    python -m bench.streams [--streams 100 300 1000] [--seconds 10]

Starts the suite in one process with the simulated provider at 20 ms a token, opens the streams
over a few seconds, and prints for the time in which all are open: the longest pause between two
deltas of any stream (p50, p99, maximum), the messages a stream got a second, and the cores that
server and client used. The client shares the machine and its share is printed, because above
one core it is the client that is slow. Time to the first token is what the service adds: the
simulated provider gives its first token at once.
"""

import argparse
import asyncio
import itertools
import statistics
import time
from dataclasses import dataclass, field

from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley_client import Parley
from rich.console import Console
from rich.table import Table

from bench.processes import cpu_seconds, memory_mib
from tests.support.processes import KEY, Suite, suite

TOKEN_SECONDS = 0.02
OPEN_SECONDS_PER_STREAM = 0.012
"""Streams are opened one after another, so that opening is not what is measured."""


@dataclass(slots=True)
class Pauses:
    """What one stream saw."""

    first_token: float = 0.0
    arrivals: list[float] = field(default_factory=list)

    def longest(self, start: float, end: float) -> float:
        """Return the longest pause between two arrivals from *start* to *end*, in seconds."""
        seen = [each for each in self.arrivals if start <= each <= end]
        return max((b - a for a, b in itertools.pairwise(seen)), default=end - start)


async def listen(parley: Parley, number: int, pauses: Pauses) -> None:
    """Read one stream to its end."""
    request = pb.ChatRequest(user_id=f"user-{number}", cache_mode=pb.CACHE_MODE_BYPASS)
    begin = time.perf_counter()
    async with parley.chat(f"Tell me a long story, number {number}.", request=request) as stream:
        async for _ in stream.text():
            now = time.perf_counter()
            pauses.first_token = pauses.first_token or now - begin
            pauses.arrivals.append(now)


async def run(running: Suite, count: int, seconds: float) -> tuple[str, ...]:
    """Hold *count* streams for *seconds* and return the row of the table."""
    seen = [Pauses() for _ in range(count)]
    # A connection carries a hundred calls at once by default.
    clients = [Parley(running.address, api_key=KEY) for _ in range(-(-count // 50))]
    try:
        tasks = []
        for number, pauses in enumerate(seen):
            client = clients[number % len(clients)]
            tasks.append(asyncio.create_task(listen(client, number, pauses)))
            await asyncio.sleep(OPEN_SECONDS_PER_STREAM)
        await asyncio.sleep(1.0)
        start, server, own = time.perf_counter(), cpu_seconds(*running.pids), time.process_time()
        await asyncio.sleep(seconds)
        end = time.perf_counter()
        server, own = cpu_seconds(*running.pids) - server, time.process_time() - own
        memory = memory_mib(*running.pids)
        ended = sum(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for client in clients:
            await client.close()
    longest = sorted(each.longest(start, end) for each in seen)
    firsts = sorted(each.first_token for each in seen)
    messages = sum(start <= at <= end for each in seen for at in each.arrivals)
    return (
        str(count),
        f"{longest[len(longest) // 2] * 1e3:.0f}",
        f"{longest[int(len(longest) * 0.99)] * 1e3:.0f}",
        f"{longest[-1] * 1e3:.0f}",
        f"{messages / count / (end - start):.1f}",
        f"{statistics.median(firsts) * 1e3:.1f}",
        f"{firsts[int(len(firsts) * 0.99)] * 1e3:.1f}",
        f"{server / (end - start):.2f}",
        f"{own / (end - start):.2f}",
        f"{memory:.0f}",
        str(ended),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    table = Table(
        "streams",
        "pause p50 ms",
        "p99",
        "max",
        "messages/s",
        "first token p50 ms",
        "p99",
        "server cores",
        "client cores",
        "MiB",
        "ended early",
    )
    for count in arguments.streams:
        opening = count * OPEN_SECONDS_PER_STREAM
        tokens = int((opening + arguments.seconds + 30) / TOKEN_SECONDS)
        environment = {
            "PARLEY_MODEL_ROUTER_SIMULATED_FIRST_TOKEN_SECONDS": "0",
            "PARLEY_MODEL_ROUTER_SIMULATED_TOKEN_SECONDS": str(TOKEN_SECONDS),
            "PARLEY_MODEL_ROUTER_SIMULATED_ANSWER": "word " * tokens,
            "PARLEY_MODEL_ROUTER_FIRST_CONCURRENCY_LIMIT": str(count + 8),
            "PARLEY_MODEL_ROUTER_MAX_CONCURRENCY_LIMIT": str(count + 8),
            "PARLEY_ACCOUNTING_USER_REQUESTS_PER_MINUTE": "0",
            "PARLEY_ORCHESTRATOR_DEFAULT_DEADLINE_SECONDS": "600",
        }
        with suite(apart=False, environment=environment) as running:
            table.add_row(*asyncio.run(run(running, count, arguments.seconds)))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
