"""
What a chat costs the server in CPU, with all checks on.

    python -m bench.chat [--chats 400]

Starts the suite with embedded defaults and the simulated provider at no delay, and prints
milliseconds of CPU (user and system, all processes of the server) for each chat, with the
time to the first token as the client sees it. The client's own CPU is not in the figure, but
it shares the machine: read CPU, and compare times only within one run.
"""

import argparse
import asyncio
import random
import statistics
import time
from dataclasses import dataclass

from parley.chat.v1 import message_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley_client import Parley
from rich.console import Console
from rich.table import Table

from bench.processes import cpu_seconds, memory_mib
from tests.support.processes import KEY, Suite, suite

THINGS = (
    "a bicycle wheel",
    "sourdough bread",
    "an index in a database",
    "the tides",
    "a violin bow",
    "compound interest",
    "a heat pump",
    "the offside rule",
    "a blood test",
    "glacier ice",
    "a passport photo",
    "the printing press",
)
QUESTIONS = (
    "How does {} work?",
    "Who invented {}?",
    "What does {} cost?",
    "Why does {} fail?",
    "Where can I learn about {}?",
    "Explain {} to a child.",
)
"""Questions as different as those of real users, each asked for another purpose."""

ANSWER = (
    "The short answer is that it depends on what you need it for, so here is one way to look "
    "at it that has helped many people before you too."
)
"""32 tokens."""

ENVIRONMENT = {
    "PARLEY_MODEL_ROUTER_SIMULATED_FIRST_TOKEN_SECONDS": "0",
    "PARLEY_MODEL_ROUTER_SIMULATED_TOKEN_SECONDS": "0",
    "PARLEY_MODEL_ROUTER_SIMULATED_ANSWER": ANSWER,
    "PARLEY_ACCOUNTING_USER_REQUESTS_PER_MINUTE": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of chat."""

    name: str
    fields: dict[str, object]
    repeats: bool = False


CASES = (
    Case(name="32-token answer, streamed", fields={}),
    Case(
        name="JSON answer",
        fields={
            "response_format": message_pb2.ResponseFormat(
                type=message_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT
            )
        },
    ),
    Case(name="cache hit", fields={}, repeats=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run of one case came to."""

    cpu_milliseconds: float
    first_token_p50: float
    first_token_p99: float


async def one_chat(parley: Parley, case: Case, draw: random.Random) -> float:
    """Run one chat and return the seconds to its first token."""
    question = draw.choice(QUESTIONS).format(draw.choice(THINGS))
    if not case.repeats:
        question += f" It is for {draw.getrandbits(64):x}."
    request = pb.ChatRequest(user_id=f"user-{draw.randrange(1000)}", **case.fields)
    start = time.perf_counter()
    first = 0.0
    async with parley.chat(question, request=request) as stream:
        async for _ in stream.text():
            first = first or time.perf_counter() - start
    assert stream.completed is not None
    return first


async def run(suite_: Suite, case: Case, *, chats: int, concurrency: int) -> Result:
    """Run *chats* chats, *concurrency* at once."""
    draw = random.Random(f"{case.name} {concurrency}")
    async with Parley(suite_.address, api_key=KEY) as parley:

        async def worker(count: int) -> list[float]:
            return [await one_chat(parley, case, draw) for _ in range(count)]

        await asyncio.gather(*(worker(10) for _ in range(concurrency)))
        await asyncio.sleep(1.0)
        before = cpu_seconds(*suite_.pids)
        rounds = await asyncio.gather(*(worker(chats // concurrency) for _ in range(concurrency)))
        await asyncio.sleep(1.0)  # What is booked after the answer belongs to it.
        spent = cpu_seconds(*suite_.pids) - before
    firsts = sorted(first for each in rounds for first in each)
    return Result(
        cpu_milliseconds=spent / len(firsts) * 1e3,
        first_token_p50=statistics.median(firsts) * 1e3,
        first_token_p99=firsts[min(len(firsts) - 1, int(len(firsts) * 0.99))] * 1e3,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=400)
    arguments = parser.parse_args()
    table = Table(
        "placement", "chat", "at once", "CPU ms", "first token p50 ms", "p99 ms", "memory MiB"
    )
    for apart in (False, True):
        with suite(apart=apart, environment=ENVIRONMENT) as running:
            for case in CASES:
                for concurrency in (1, 16):
                    result = asyncio.run(
                        run(running, case, chats=arguments.chats, concurrency=concurrency)
                    )
                    table.add_row(
                        "apart" if apart else "one process",
                        case.name,
                        str(concurrency),
                        f"{result.cpu_milliseconds:.2f}",
                        f"{result.first_token_p50:.1f}",
                        f"{result.first_token_p99:.1f}",
                        f"{memory_mib(*running.pids):.0f}",
                    )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
