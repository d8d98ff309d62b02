"""
Where the event loop's time goes, for one chat at a time.

    python -m bench.profile [--chats 300] [--hit] [--lines 40]

Runs the suite in this process and chats with it over the in-process channel, so that neither TCP
nor a client is in the figures. Prints the CPU milliseconds of the event loop's thread and of the
whole process for each chat, then the same chats under cProfile on the thread's CPU time, by
function: first by what each costs itself, then with all that it calls.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import random
import tempfile
import time

import uvloop
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from parley_services.cli.process.catalogue import load
from parley_services.kit import log
from parley_services.kit.rpc.server import Host, ServerSettings
from rich.console import Console

from bench.chat import ENVIRONMENT, QUESTIONS, THINGS
from tests.support.processes import KEY

METADATA = (("authorization", f"Bearer {KEY}"),)


async def chats(stub: "pb_grpc.OrchestratorServiceAsyncStub", count: int, *, hit: bool) -> None:
    """Run *count* chats, one after the other; with *hit* of questions that come again."""
    draw = random.Random(time.thread_time_ns())
    for _ in range(count):
        question = draw.choice(QUESTIONS).format(draw.choice(THINGS))
        if not hit:
            question += f" It is for {draw.getrandbits(64):x}."
        request = pb.ChatRequest(user_id=f"user-{draw.randrange(1000)}", text=question)
        async for _ in stub.Chat(request, timeout=30, metadata=METADATA):
            pass


async def run(count: int, *, hit: bool, lines: int) -> None:
    """Print the figures."""
    host = Host(load(), ServerSettings(address="127.0.0.1:0", drain_seconds=0))
    async with host:
        stub = pb_grpc.OrchestratorServiceStub(host.peers.channel("orchestrator"))
        await chats(stub, 100, hit=hit)
        await asyncio.sleep(1.0)
        thread, process = time.thread_time(), time.process_time()
        await chats(stub, count, hit=hit)
        await asyncio.sleep(0.5)  # What is booked after the answer belongs to it.
        thread, process = time.thread_time() - thread, time.process_time() - process
        Console().print(
            f"event loop {thread / count * 1e3:.2f} ms a chat, "
            f"all threads {process / count * 1e3:.2f} ms"
        )
        profile = cProfile.Profile(time.thread_time)
        profile.enable()
        await chats(stub, count, hit=hit)
        await asyncio.sleep(0.5)
        profile.disable()
        stats = pstats.Stats(profile)
        stats.sort_stats("tottime").print_stats(lines)
        stats.sort_stats("cumtime").print_stats(lines)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=300)
    parser.add_argument("--hit", action="store_true")
    parser.add_argument("--lines", type=int, default=40)
    arguments = parser.parse_args()
    log.configure("warning")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(
            {**ENVIRONMENT, "PARLEY_DATA_DIR": folder, "PARLEY_ACCOUNTING_BOOTSTRAP_KEY": KEY}
        )
        uvloop.run(run(arguments.chats, hit=arguments.hit, lines=arguments.lines))


if __name__ == "__main__":
    main()
