"""
How many Python functions a chat calls, counted and not timed.

    python -m bench.calls [--chats 11] [--functions 30] [--json]

Runs the suite in this process, all services co-located, and chats with it over TCP from another
thread, which is not counted. A call is what cProfile counts: a Python function that is entered, a
generator or a coroutine that is resumed; functions written in C are not counted. What is written
after an answer belongs to it. Each figure is the median of several chats, made one at a time.

`new_answer` is an answer of 32 tokens that the model writes in one burst, `hit` the same from
the cache, `token` each further token of a stream that is paced so that every token arrives
alone, as the difference between a long stream and a short one. `tasks` are the asyncio tasks
that a new answer starts on the event loop.
"""

import argparse
import asyncio
import cProfile
import json
import os
import random
import statistics
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import grpc
import uvloop
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from parley_services.cli.process.catalogue import load
from parley_services.kit import log
from parley_services.kit.rpc.server import Host, ServerSettings
from rich.console import Console
from rich.table import Table

from bench.chat import ANSWER, ENVIRONMENT
from tests.support.processes import KEY

METADATA = (("authorization", f"Bearer {KEY}"),)
QUESTION = "How does a bicycle wheel work?"

PACE_SECONDS = 0.03
"""Between two tokens of a paced stream: longer than any window in which text is gathered."""

SHORT, LONG = 8, 40
"""Words of the two paced streams."""

SETTLE_SECONDS = 0.4
"""After an answer, until all that is written after it has been written."""

_draw = random.Random("calls")

PACKAGES = Path(__file__).parent.parent / "services" / "parley_services"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one chat came to."""

    functions: Counter[str]
    """Calls by function, as `package function`."""
    tasks: Counter[str]
    """Tasks by the name of their coroutine."""
    deltas: int

    @property
    def calls(self) -> int:
        """All calls."""
        return self.functions.total()

    def packages(self) -> Counter[str]:
        """Return the calls by package."""
        packages: Counter[str] = Counter()
        for function, calls in self.functions.items():
            packages[function.split()[0]] += calls
        return packages


def package_of(code: CodeType) -> str:
    """Return the package of ours, or the library, that *code* is of."""
    path = Path(code.co_filename)
    if path.is_relative_to(PACKAGES):
        parts = path.relative_to(PACKAGES).parts
        return "/".join(parts[:2]) if parts[0] == "kit" else parts[0]
    parts = path.parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return "python"


class Tally:
    """Counts the calls of this thread and the tasks that start on its event loop."""

    def __init__(self) -> None:
        self._profile = cProfile.Profile(builtins=False)
        self._tasks: list[str] = []
        asyncio.get_running_loop().set_task_factory(self._make_task)
        self._profile.enable()

    def take(self) -> tuple[Counter[str], Counter[str]]:
        """Return what was counted since the last time: calls by function, tasks by coroutine."""
        self._profile.disable()
        functions: Counter[str] = Counter()
        for entry in self._profile.getstats():
            code = entry.code
            if isinstance(code, CodeType) and Path(code.co_filename) != Path(__file__):
                name = f"{package_of(code)} {Path(code.co_filename).stem}.{code.co_qualname}"
                functions[name] += entry.callcount
        tasks, self._tasks = Counter(self._tasks), []
        self._profile.clear()
        self._profile.enable()
        return functions, tasks

    def close(self) -> None:
        """Stop counting."""
        self._profile.disable()
        asyncio.get_running_loop().set_task_factory(None)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        self._tasks.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)


def one_chat(stub: Any, text: str) -> int:
    """Chat from this thread and return the number of deltas."""
    request = pb.ChatRequest(text=text, user_id="user-1")
    events = stub.Chat(request, timeout=60, metadata=METADATA)
    return sum(event.HasField("delta") for event in events)


async def counted(texts: list[str], warm_up: list[str]) -> list[Count]:
    """Run the suite, chat with each of *texts*, one at a time, and count."""
    host = Host(load(), ServerSettings(address="127.0.0.1:0", drain_seconds=0))
    async with host:
        with grpc.insecure_channel(f"127.0.0.1:{host.port}") as channel:
            stub = pb_grpc.OrchestratorServiceStub(channel)
            for text in warm_up:
                await in_thread(lambda text=text: one_chat(stub, text))
            await asyncio.sleep(2 * SETTLE_SECONDS)
            tally = Tally()
            counts = []
            for text in texts:
                tally.take()
                deltas = await in_thread(lambda text=text: one_chat(stub, text))
                await asyncio.sleep(SETTLE_SECONDS)
                functions, tasks = tally.take()
                counts.append(Count(functions=functions, tasks=tasks, deltas=deltas))
            tally.close()
    return counts


async def in_thread(work: Callable[[], int]) -> int:
    """Run *work* in a thread of its own, without a task of this loop."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, result)

    threading.Thread(target=run).start()
    return await done


@contextmanager
def environment(answer: str, token_seconds: float) -> Iterator[None]:
    """Set the suite up in a folder of its own."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(
            {
                **ENVIRONMENT,
                "PARLEY_DATA_DIR": folder,
                "PARLEY_ACCOUNTING_BOOTSTRAP_KEY": KEY,
                "PARLEY_MODEL_ROUTER_SIMULATED_ANSWER": answer,
                "PARLEY_MODEL_ROUTER_SIMULATED_TOKEN_SECONDS": str(token_seconds),
            }
        )
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def new(count: int) -> list[str]:
    """Return questions that were never asked, the same in every run."""
    return [f"{QUESTION} It is for {_draw.getrandbits(64):x}." for _ in range(count)]


def measure(texts: list[str], *, answer: str, pace: float = 0.0, warm_up: list[str]) -> list[Count]:
    """Count the chats that ask *texts*."""
    with environment(answer, pace):
        return uvloop.run(counted(texts, warm_up))


def median(counts: list[Count]) -> Count:
    """Return the count in the middle."""
    return sorted(counts, key=lambda each: each.calls)[len(counts) // 2]


def spread(counts: list[Count]) -> float:
    """Return how far the quarter in the middle lies apart, as a share of the median."""
    calls = [each.calls for each in counts]
    low, _, high = statistics.quantiles(calls, n=4)
    return (high - low) / statistics.median(calls)


def show(console: Console, title: str, count: Count, functions: int) -> None:
    """Print a chat's calls by package, and its most called functions."""
    table = Table("package", "calls", title=title)
    for package, calls in count.packages().most_common():
        table.add_row(package, f"{calls:,}")
    console.print(table)
    if functions:
        table = Table("function", "calls")
        for function, calls in count.functions.most_common(functions):
            table.add_row(function, f"{calls:,}")
        console.print(table)
    console.print("tasks: " + ", ".join(f"{name} {n}" for name, n in count.tasks.most_common()))


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=11)
    parser.add_argument("--functions", type=int, default=0, help="most called functions to list")
    parser.add_argument("--json", action="store_true", help="print the four figures only")
    arguments = parser.parse_args()
    log.configure("error")
    chats: int = arguments.chats
    answers = measure(new(chats), answer=ANSWER, warm_up=new(20))
    hits = measure([QUESTION] * chats, answer=ANSWER, warm_up=[*new(20), *[QUESTION] * 5])
    streams = {
        words: measure(
            new(max(3, chats // 3)),
            answer=" ".join(f"word{n}" for n in range(words)),
            pace=PACE_SECONDS,
            warm_up=new(3),
        )
        for words in (SHORT, LONG)
    }
    short, long = median(streams[SHORT]), median(streams[LONG])
    answer, hit = median(answers), median(hits)
    figures = {
        "new_answer": answer.calls,
        "hit": hit.calls,
        "token": round((long.calls - short.calls) / (long.deltas - short.deltas), 1),
        "tasks": answer.tasks.total(),
    }
    if arguments.json:
        print(json.dumps(figures))  # noqa: T201
        return
    console = Console(width=110)
    functions: int = arguments.functions
    show(console, "New answer of 32 tokens", answer, functions)
    show(console, "Cache hit", hit, functions)
    per_token = Count(
        functions=Counter(
            {
                name: round((calls - short.functions[name]) / (LONG - SHORT), 2)
                for name, calls in long.functions.items()
                if calls - short.functions[name] >= (LONG - SHORT) / 4
            }
        ),
        tasks=Counter(),
        deltas=1,
    )
    show(console, "Each further token", per_token, functions)
    console.print(
        f"deltas: {answer.deltas} new, {hit.deltas} hit, {short.deltas} and {long.deltas} paced; "
        f"spread {spread(answers):.1%} new, {spread(hits):.1%} hit"
    )
    console.print(figures)


if __name__ == "__main__":
    main()
