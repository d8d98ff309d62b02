"""
What reserving and settling cost: CPU for each turn, and settles a second.

    python -m bench.accounting_store [--folder DIR] [--postgresql]

Serves accounting in this process and calls it as the orchestrator does: on SQLite in a
temporary folder in DIR, with every commit on the disk, or on a throwaway PostgreSQL that
does not sync; there the figure is the CPU of this process alone.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import grpc
import sqlalchemy
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import answer_pb2, attempt_pb2, subject_pb2, usage_pb2
from parley_services.accounting.app import open_accounting
from parley_services.accounting.settings import AccountingSettings
from parley_services.kit.log import configure
from parley_services.kit.rpc.in_process import InProcessChannel, InProcessServer
from parley_services.kit.rpc.interceptors import interceptors_in_process
from parley_services.kit.storage.database.sqlite import SqliteDatabase
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.postgres import cluster

TURNS = 4_000
CONCURRENCIES = (1, 16, 64, 256)
UNITS = 2_000

Work = Callable[[int], Awaitable[object]]


async def main(folder: Path, database_url: str) -> None:
    configure("warning")
    settings = AccountingSettings(
        data_dir=folder,
        database_url=database_url,
        user_requests_per_minute=0,
        policy_path=_policy(folder),
    )
    server = InProcessServer(interceptors=interceptors_in_process())
    async with open_accounting(settings) as register:
        register(server)  # type: ignore[arg-type]
        await server.start()
        await _measure_turns(InProcessChannel(server))
        await server.stop(None)
    if not database_url:
        await _compare_drivers(folder)


async def _measure_turns(channel: grpc.aio.Channel) -> None:
    stub: pb_grpc.AccountingServiceAsyncStub = pb_grpc.AccountingServiceStub(channel)
    table = Table("turns at once", "Reserve + Settle, CPU ms", "turns/s", "Settle alone, 1/s")
    for concurrency in CONCURRENCIES:
        turns = _Turns(stub, f"c{concurrency}")
        await _spread(turns.whole, 200, concurrency)
        cpu, wall = await _spread(turns.whole, TURNS, concurrency)
        _, settling = await _spread(turns.settle, TURNS, concurrency)
        table.add_row(
            str(concurrency),
            f"{cpu / TURNS * 1e3:.3f}",
            f"{TURNS / wall:,.0f}",
            f"{TURNS / settling:,.0f}",
        )
    Console().print(table)


class _Turns:
    def __init__(self, stub: "pb_grpc.AccountingServiceAsyncStub", prefix: str) -> None:
        self._stub = stub
        self._prefix = prefix
        self._count = 0

    async def whole(self, number: int) -> None:
        self._count += 1
        request_id = f"{self._prefix}-{self._count}"
        subject = _subject(number)
        await self._stub.Reserve(
            pb.ReserveRequest(
                request_id=request_id,
                subject=subject,
                model="gpt-4o",
                input_token_count=100,
                max_output_token_count=32,
                template="chat",
            ),
            timeout=10,
        )
        await self._stub.Settle(_settle(request_id, subject), timeout=10)

    async def settle(self, number: int) -> None:
        self._count += 1
        await self._stub.Settle(
            _settle(f"{self._prefix}-{self._count}", _subject(number)), timeout=10
        )


def _subject(number: int) -> subject_pb2.Subject:
    return subject_pb2.Subject(
        tenant_id="acme", team_id="core", user_id=f"user{number % 100}", key_id="key_1"
    )


def _settle(request_id: str, subject: subject_pb2.Subject) -> pb.SettleRequest:
    attempt = attempt_pb2.Attempt(
        number=1,
        provider="openai",
        model="gpt-4o",
        kind=attempt_pb2.ATTEMPT_KIND_PRIMARY,
        usage=usage_pb2.Usage(input_token_count=100, output_token_count=32),
        cost_nano_usd=570_000,
        price_version="bench",
    )
    return pb.SettleRequest(
        request_id=request_id,
        subject=subject,
        attempts=[attempt],
        source=answer_pb2.ANSWER_SOURCE_MODEL,
        template="chat",
        model="gpt-4o",
    )


async def _spread(work: Work, count: int, concurrency: int) -> tuple[float, float]:
    """Run *work* so many times, so many at once; return CPU and wall seconds."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return time.process_time() - cpu, time.perf_counter() - wall


async def _compare_drivers(folder: Path) -> None:
    """Compare one insert in the writer thread with one by aiosqlite, 16 at once."""
    insert = sqlalchemy.text("INSERT INTO notes (text) VALUES ('x')")
    create = sqlalchemy.text("CREATE TABLE notes (text TEXT)")
    database = SqliteDatabase(folder / "thread.db")
    await database.write(lambda connection: connection.execute(create) and None)

    async def by_thread(_: int) -> None:
        await database.write(lambda connection: connection.execute(insert) and None)

    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/aio.db", pool_size=1)
    async with engine.begin() as connection:
        await connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
        await connection.execute(create)

    async def by_aiosqlite(_: int) -> None:
        async with engine.begin() as connection:
            await connection.execute(insert)

    table = Table("one insert, 16 at once", "CPU ms", "1/s")
    for name, work in (("writer thread", by_thread), ("aiosqlite", by_aiosqlite)):
        cpu, wall = await _spread(work, UNITS, 16)
        table.add_row(name, f"{cpu / UNITS * 1e3:.3f}", f"{UNITS / wall:,.0f}")
    Console().print(table)
    await database.aclose()
    await engine.dispose()


def _policy(folder: Path) -> Path:
    """Return a policy without budgets that change what a turn may do in the middle."""
    path = folder / "policy.yaml"
    path.write_text("default_model: gpt-4o\n")
    return path


def run() -> None:
    """Measure on the database that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--postgresql", action="store_true")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.folder))
        url = stack.enter_context(cluster()).new_database() if arguments.postgresql else ""
        asyncio.run(main(Path(name), url))


if __name__ == "__main__":
    run()
