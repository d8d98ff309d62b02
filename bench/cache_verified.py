"""
Simulates entries that learn, on customers' questions to a bank; about two minutes.

Each question of Banking77 (from PARLEY_BENCH_DATA) is asked once, in random order. Its right
answer is that of its intent, so a hit is false if its entry is of another intent. A miss asks
the model, which answers by intent, and is stored. The shares are of all lookups so far, as the
bound is; `fixed` decides by max_false_hit_rate alone.
"""

import asyncio
import csv
import random
import tempfile
from pathlib import Path

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.clock import SystemClock
from parley_services.semantic_cache.cache import CacheLimits, SemanticCache
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.entry import Answer
from parley_services.semantic_cache.outcome import Hit, Miss, MissReason
from parley_services.semantic_cache.partition import Partition
from parley_services.semantic_cache.policy import Policies, Policy
from parley_services.semantic_cache.statistics import Statistics
from parley_services.semantic_cache.store.edge import open_edge_store
from parley_services.semantic_cache.verify.feedback import Feedback
from parley_services.semantic_cache.verify.judge import Judge
from parley_services.semantic_cache.verify.trained_verifier import TrainedVerifier, Weights
from parley_services.semantic_cache.verify.words import WordReader
from rich.console import Console

from bench.cache_data import data_folder

console = Console()

PARTITION = Partition(tenant_id="bank", template="help", template_version=1)
QUESTIONS = 8_000
PARTS = 4
BOUNDS = (None, 0.01, 0.02, 0.05, 0.10)


def questions() -> list[tuple[str, str]]:
    """Return text and intent, in an order that is random but always the same."""
    with (data_folder() / "banking77" / "train.csv").open(newline="") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    random.Random(3).shuffle(rows)
    return rows[:QUESTIONS]


async def simulate(bound: float | None) -> list[str]:
    """Return for each part of the stream the shares of hits, false hits and explored."""
    draw = random.Random(4)
    embedder = WordLlamaEmbedder()
    reader = WordReader(embedder)
    judge = Judge(TrainedVerifier(reader, Weights.load()), draw.random)
    policy = Policy(similarity_threshold=0.7, max_error_rate=bound, tenant_capacity=100_000)
    shown = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_edge_store(Path(folder) / "answers", dimension=embedder.dimension) as store:
            cache = SemanticCache(
                statistics=Statistics(),
                store=store,
                embedder=embedder,
                judge=judge,
                feedback=Feedback(store, judge, reader),
                policies=Policies(default=policy),
                limits=CacheLimits(),
                clock=SystemClock(),
                random=draw.random,
            )
            hits = false_hits = explored = 0
            rows = questions()
            for number, (text, intent) in enumerate(rows, start=1):
                match await cache.lookup(PARTITION, text):
                    case Hit(entry=entry):
                        hits += 1
                        false_hits += entry.answer.text != intent
                    case Miss(reason=reason):
                        explored += reason is MissReason.EXPLORE
                        answer = Answer(text=intent)
                        await cache.store(PARTITION, text, answer, finish_reason=FinishReason.STOP)
                if number % (len(rows) // PARTS) == 0:
                    shown.append(
                        f"{hits / number:6.1%} {false_hits / number:6.2%} {explored / number:6.1%}"
                    )
    return shown


def main() -> None:
    step = QUESTIONS // PARTS
    console.out("share of lookups so far: hits, false hits, explored")
    heads = [f"after {step * (part + 1):,}" for part in range(PARTS)]
    console.out(" bound | " + " | ".join(f"{head:22}" for head in heads))
    for bound in BOUNDS:
        name = "fixed" if bound is None else f"{bound:.0%}"
        parts = asyncio.run(simulate(bound))
        console.out(f"{name:>6} | " + " | ".join(f"{part:22}" for part in parts))


if __name__ == "__main__":
    main()
