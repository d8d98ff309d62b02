"""
How long a year of spending takes to read.

    python -m bench.accounting_year [--turns 5000000] [--users 1000] [--folder DIR]

Writes a made-up year of one tenant into SQLite, rolls it up as the service does, and asks for
summaries as `parley costs` does. Prints the milliseconds of each, by the clock and of CPU, the
middle of five. The last row sums the same year from the ledger itself. 5,000,000 turns take
some minutes and 4 GB.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from parley_services.accounting.app import MIGRATIONS
from parley_services.accounting.clock_reader import to_us
from parley_services.accounting.ledger.entry import Account, Entry
from parley_services.accounting.reports.costs import CostGrouping, CostQuery
from parley_services.accounting.sql import rows, schema
from parley_services.accounting.sql.costs import SqlCostReader
from parley_services.accounting.sql.rollups import SqlRollups
from parley_services.accounting.sql.statements import driver_of, insert_into
from parley_services.accounting.workers.rollup_worker import RollupWorker
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.log import configure
from parley_services.kit.storage.database import Database, open_database
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, func, select

END = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
TENANT = "acme"
AT_ONCE = 20_000
RUNS = 5
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-5-5", "claude-haiku-5-5")

QUERIES = (
    ("total", CostQuery()),
    ("by model", CostQuery(grouping=CostGrouping.MODEL)),
    ("top users", CostQuery(grouping=CostGrouping.USER)),
    ("by tag", CostQuery(grouping=CostGrouping.TAG, tag="app")),
    ("by day", CostQuery(grouping=CostGrouping.DAY, limit=1000)),
    ("by hour, a page of 1,000", CostQuery(grouping=CostGrouping.HOUR, limit=1000)),
    (
        "top users, from and to the middle of a day",
        CostQuery(
            grouping=CostGrouping.USER,
            start_time=END - timedelta(days=360, hours=7),
            end_time=END - timedelta(days=3, hours=5),
        ),
    ),
    (
        "by model, from and to the middle of a day",
        CostQuery(
            grouping=CostGrouping.MODEL,
            start_time=END - timedelta(days=360, hours=7),
            end_time=END - timedelta(days=3, hours=5),
        ),
    ),
)


async def main(folder: Path, *, turns: int, users: int) -> None:
    configure("error")
    console = Console()
    async with open_database(
        f"sqlite:///{folder}/year.db", service="accounting", migrations=MIGRATIONS
    ) as database:
        await _fill(database, turns, users)
        start = time.process_time()
        rolled = await RollupWorker(SqlRollups(database)).roll_up()
        cpu = time.process_time() - start
        console.print(f"{rolled:,} entries rolled up, {cpu / rolled * 1e6:.0f} µs of CPU each")
        reader = SqlCostReader(database)
        table = Table("summary of a year", "ms", "CPU ms")
        for name, query in QUERIES:
            asked = CostQuery(
                tenant_id=TENANT,
                grouping=query.grouping,
                tag=query.tag,
                start_time=query.start_time,
                end_time=query.end_time,
                limit=query.limit,
            )
            times, cpus = [], []
            for _ in range(RUNS):
                before, cpu_before = time.perf_counter(), time.process_time()
                await reader.summary(asked)
                times.append(time.perf_counter() - before)
                cpus.append(time.process_time() - cpu_before)
            table.add_row(
                name,
                f"{statistics.median(times) * 1e3:.1f}",
                f"{statistics.median(cpus) * 1e3:.1f}",
            )
        before, cpu_before = time.perf_counter(), time.process_time()
        await database.read(_from_the_ledger)
        table.add_row(
            "top users, from the ledger",
            f"{(time.perf_counter() - before) * 1e3:,.0f}",
            f"{(time.process_time() - cpu_before) * 1e3:,.0f}",
        )
        console.print(table)


def _from_the_ledger(connection: Connection) -> Sequence[Any]:
    entries = schema.entries.c
    query = (
        select(entries.user_id, func.sum(entries.cost_nano_usd).label("cost"))
        .where(entries.tenant_id == TENANT)
        .group_by(entries.user_id)
        .order_by(func.sum(entries.cost_nano_usd).desc())
        .limit(100)
    )
    return connection.execute(query).all()


async def _fill(database: Database, turns: int, users: int) -> None:
    """Write the year; the hashes are left out, since nothing here verifies them."""
    statement = insert_into(schema.entries)
    entries = _entries(turns, users)
    sequence = 0
    while sequence < turns:
        part = [next(entries) for _ in range(min(AT_ONCE, turns - sequence))]
        sequence += len(part)

        def unit(connection: Connection, part: list[tuple[Any, ...]] = part) -> None:
            driver_of(connection).write(statement, part)

        await database.write(unit)

    def head(connection: Connection) -> None:
        connection.execute(
            schema.streams.insert(),
            {"tenant_id": TENANT, "sequence": turns, "row_hash": bytes(32)},
        )

    await database.write(head)


def _entries(turns: int, users: int) -> Iterator[tuple[Any, ...]]:
    draw = random.Random(1)
    start_us, length_us = to_us(END - YEAR), YEAR // timedelta(microseconds=1)
    for number in range(turns):
        at_us = start_us + length_us * number // turns
        read, written = draw.randrange(2_000), draw.randrange(500)
        yield rows.entry_values(
            Entry(
                tenant_id=TENANT,
                sequence=number + 1,
                request_id=f"r{number}",
                attempt_number=1,
                account=Account.USAGE,
                subject=Subject(
                    tenant_id=TENANT,
                    team_id=f"team{draw.randrange(20)}",
                    user_id=f"user{int(users * draw.random() ** 2)}",
                    key_id=f"key{draw.randrange(30)}",
                ),
                provider="openai",
                model=MODELS[draw.randrange(len(MODELS))],
                usage=Usage(input_token_count=read, output_token_count=written),
                cost_nano_usd=read * 2_500 + written * 10_000,
                price_version="bench",
                template=f"template{draw.randrange(15)}",
                tags={"app": f"app{draw.randrange(8)}"},
                turn_count=1,
                attempt_count=1,
                end_time_us=at_us,
                create_time_us=at_us,
                row_hash=bytes(32),
            )
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5_000_000)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        asyncio.run(main(Path(name), turns=arguments.turns, users=arguments.users))
