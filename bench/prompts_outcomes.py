"""
What it costs to keep how turns ended, on SQLite.

    python -m bench.prompts_outcomes [--turns 4000]

Reports turns as the orchestrator does, so many at once, with ids as random as real ones, and
prints microseconds of CPU for each turn: of the thread that writes, and of all else. Nothing
is gathered here, so that a commit has as many turns as the row says. CPU is user and system
time; compare it within one run.
"""

import argparse
import asyncio
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from parley_services.kit.background import running
from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.usage import Usage
from parley_services.kit.clock import SystemClock
from parley_services.kit.storage.database import open_database
from parley_services.prompt_registry.app import MIGRATIONS
from parley_services.prompt_registry.outcomes.outcome import Outcome
from parley_services.prompt_registry.outcomes.recorder import OutcomeRecorder
from parley_services.prompt_registry.outcomes.turn_texts import TextPolicy
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.stores.sql import SqlStore
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.seed_templates import (
    fill_if_empty,
    load_seed_templates,
)
from rich.console import Console
from rich.table import Table

AT_ONCE = (1, 4, 16, 64)
START = datetime(2026, 1, 1, tzinfo=UTC)


def outcomes(count: int, draw: random.Random) -> Iterator[Outcome]:
    """Yield *count* turns over the two arms of the shipped experiment, one in fifty failed."""
    for number in range(count):
        treatment = draw.random() < 0.1
        failed = draw.random() < 0.02
        latency = draw.lognormvariate(0, 0.5)
        yield Outcome(
            request_id=str(uuid.UUID(int=draw.getrandbits(128))),
            tenant_id="acme",
            user_id=f"user-{draw.randrange(1_000)}",
            template="general_chat",
            version=2 if treatment else 1,
            experiment_id="general-chat-v2",
            arm="treatment" if treatment else "control",
            model="simulated",
            finish_reason=FinishReason.UNSPECIFIED if failed else FinishReason.STOP,
            error_reason="ERROR_REASON_PROVIDER_UNAVAILABLE" if failed else "",
            source=AnswerSource.MODEL,
            usage=Usage(input_token_count=60, output_token_count=32),
            cost_nano_usd=30_000,
            latency_seconds=latency,
            first_delta_seconds=latency / 4,
            end_time=START + timedelta(seconds=number / 50),
        )


async def measure(turns: int, at_once: int) -> tuple[float, float]:
    """Return microseconds of CPU a turn: of the writing thread, and of all else."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        database = await stack.enter_async_context(
            open_database(
                f"sqlite:///{Path(folder) / 'registry.db'}",
                service="prompt_registry",
                migrations=MIGRATIONS,
            )
        )
        store = SqlStore(database)
        catalogue = Catalogue(store)
        registry = Registry(store=store, catalogue=catalogue, clock=SystemClock())
        await fill_if_empty(registry, catalogue, load_seed_templates())
        recorder = OutcomeRecorder(
            store=store,
            catalogue=catalogue,
            text_policy=TextPolicy(tenants=(), redactor=None),
            gather_seconds=0.0,
        )
        await stack.enter_async_context(running(recorder.run, name="outcome_recorder"))
        made = list(outcomes(turns, random.Random(at_once)))

        async def worker(share: list[Outcome]) -> None:
            for each in share:
                await recorder.report(each)

        process, thread = time.process_time(), time.thread_time()
        await asyncio.gather(*(worker(made[first::at_once]) for first in range(at_once)))
        here = time.thread_time() - thread
        return (time.process_time() - process - here) / turns * 1e6, here / turns * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=4_000)
    arguments = parser.parse_args()
    table = Table("turns at once", "writing, µs", "all else, µs")
    for at_once in AT_ONCE:
        writing, rest = asyncio.run(measure(arguments.turns, at_once))
        table.add_row(str(at_once), f"{writing:.0f}", f"{rest:.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
