"""
Times lookups in a store at 1,000, 10,000 and 100,000 entries; about five minutes.

    python -m bench.cache_edge [--largest 10000] [--qdrant http://127.0.0.1:6333]

The store is the embedded one, or a Qdrant server, in which it makes a collection of its own and
drops it at the end; the CPU is then that of this process alone.
Each store is filled through `put` and tidied by `maintain`, as maintenance does. A lookup finds the
five nearest living entries of one partition of one tenant at a cosine of at least 0.70, by the
vector of a question like a stored one. Entries are spread over ten tenants, or all of one.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from parley_services.semantic_cache.embed.billing import Payer
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.entry import Answer, Entry
from parley_services.semantic_cache.partition import Partition, entry_id_of
from parley_services.semantic_cache.store.edge import open_edge_store
from parley_services.semantic_cache.store.qdrant import open_qdrant_store
from parley_services.semantic_cache.store.store import AnswerStore, Selection
from parley_services.semantic_cache.verify import lexicon
from qdrant_client import AsyncQdrantClient
from rich.console import Console

console = Console()

SIZES = ((1_000, 10), (10_000, 10), (10_000, 1), (100_000, 10), (100_000, 1))
LOOKUPS = 500
NOBODY = Payer(tenant_id="")
_WORDS = sorted(
    {word for words in lexicon.CLASSES for word in words}
    | {word for pair in lexicon.ANTONYMS for word in pair}
)
_FORMS = ("How do I {} the {} {}?", "What is a {} {} for {}?", "Why does {} {} {}?")


def partition_of(tenant: int) -> Partition:
    return Partition(tenant_id=f"tenant-{tenant}", template="chat", template_version=1)


def question(draw: random.Random) -> str:
    return draw.choice(_FORMS).format(*draw.sample(_WORDS, 3))


async def fill(
    store: AnswerStore, embedder: WordLlamaEmbedder, size: int, tenants: int
) -> list[str]:
    """Put *size* entries, one tenant after the other in turn, and return their texts."""
    draw = random.Random(size)
    texts = []
    for number in range(size):
        text = f"{question(draw)} {number}"
        partition = partition_of(number % tenants)
        entry = Entry(
            entry_id=entry_id_of(partition, text),
            partition=partition,
            text=text,
            answer=Answer(text="An answer of some words. " * 12),
            create_time=float(number),
            expire_time=1e12,
        )
        await store.put(entry, await embedder.embed(text, NOBODY))
        texts.append(text)
    return texts


@asynccontextmanager
async def opened(url: str, dimension: int) -> AsyncIterator[AnswerStore]:
    """Yield an empty store, on the server at *url* if there is one."""
    if not url:
        with tempfile.TemporaryDirectory() as folder:
            async with open_edge_store(Path(folder) / "answers", dimension=dimension) as store:
                yield store
        return
    client = AsyncQdrantClient(url, prefer_grpc=True, check_compatibility=False)
    collection = f"bench_{uuid.uuid4().hex}"
    async with open_qdrant_store(client, collection, dimension=dimension) as store:
        try:
            yield store
        finally:
            await client.delete_collection(collection)


async def measure(size: int, tenants: int, url: str) -> None:
    embedder = WordLlamaEmbedder()
    draw = random.Random(1)
    async with opened(url, embedder.dimension) as store:
        start = time.perf_counter()
        texts = await fill(store, embedder, size, tenants)
        filled = time.perf_counter() - start
        start = time.perf_counter()
        await store.maintain()
        tidied = time.perf_counter() - start
        milliseconds = []
        found = 0
        begin = time.process_time()
        for _ in range(LOOKUPS):
            number = draw.randrange(size)
            vector = await embedder.embed(texts[number].removesuffix("?"), NOBODY)
            partition = partition_of(number % tenants)
            selection = Selection(tenant_id=partition.tenant_id, partition=partition)
            start = time.perf_counter()
            near = await store.nearest(vector, selection, now=1.0, floor=0.7, limit=5)
            milliseconds.append((time.perf_counter() - start) * 1e3)
            found += any(each.entry.text == texts[number] for each in near)
        cpu = (time.process_time() - begin) / LOOKUPS * 1e3
    cuts = statistics.quantiles(milliseconds, n=100)
    console.out(
        f"{size:7,} | {tenants:7} | {filled:6.1f} | {tidied:6.1f} | {cuts[49]:6.2f} "
        f"| {cuts[98]:6.2f} | {cpu:6.2f} | {found / LOOKUPS:6.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--qdrant", default="", metavar="URL")
    arguments = parser.parse_args()
    console.out("entries | tenants | fill s | tidy s | p50 ms | p99 ms | cpu ms | found")
    for size, tenants in SIZES:
        if size <= arguments.largest:
            asyncio.run(measure(size, tenants, arguments.qdrant))


if __name__ == "__main__":
    main()
