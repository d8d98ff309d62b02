"""Answers in Qdrant's engine inside this process: a folder, no server."""

import asyncio
import fcntl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import structlog
from qdrant_edge import (
    CountRequest,
    Direction,
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    FloatIndexParams,
    HasIdCondition,
    HnswIndexConfig,
    IntegerIndexParams,
    KeywordIndexParams,
    MatchValue,
    OrderBy,
    Point,
    Query,
    QueryRequest,
    RangeFloat,
    ScrollRequest,
    UpdateOperation,
)

from services.semantic_cache.curve import Observation
from services.semantic_cache.entry import Candidate, Entry
from services.semantic_cache.payload import (
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    entry_of,
    observations_to,
    payload_of,
)
from services.semantic_cache.store import Selection, StoreUnavailable, Vector

log = structlog.get_logger()

T = TypeVar("T")

_INLINE_SECONDS = 0.0003
"""A call that takes less on average blocks the event loop for less time than handing it to
a thread and back would cost."""

_AVERAGE_WEIGHT = 0.05

_INDEXES: tuple[tuple[str, KeywordIndexParams | IntegerIndexParams | FloatIndexParams], ...] = (
    # One graph per tenant, none over all: what a search may see is one tenant's. The other
    # fields filter only, or each of their values would get a graph, too.
    ("tenant_id", KeywordIndexParams(is_tenant=True)),
    *((name, KeywordIndexParams(enable_hnsw=False)) for name in KEYWORD_FIELDS),
    *(
        (name, IntegerIndexParams(lookup=True, range=False, enable_hnsw=False))
        for name in INTEGER_FIELDS
    ),
    *((name, FloatIndexParams(enable_hnsw=False)) for name in FLOAT_FIELDS),
)


class EdgeStore:
    """
    An AnswerStore in one folder of this machine.

    A write is in the log file when the call returns and so survives `kill -9`; it
    survives a power cut once `maintain` has run. Calls run on the event loop while
    they take less than 0.3 ms on average, as they do up to some thousand entries a
    tenant, else in a thread, where one that takes longer than *limit_seconds* raises
    StoreUnavailable. Open it with `open_edge_store`.
    """

    def __init__(self, shard: EdgeShard, folder: Path, *, limit_seconds: float) -> None:
        self._shard = shard
        self._folder = folder
        self._limit_seconds = limit_seconds
        self._calls = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-call")
        self._upkeep = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-upkeep")
        self._seconds: dict[str, float] = {}

    async def get(self, entry_id: str) -> Entry | None:
        records = await self._run("get", lambda: self._shard.retrieve([entry_id], True, False))
        return entry_of(entry_id, records[0].payload or {}) if records else None

    async def nearest(
        self, vector: Vector, selection: Selection, *, now: float, floor: float, limit: int
    ) -> list[Candidate]:
        request = QueryRequest(
            limit=limit,
            query=Query.Nearest(list(vector)),
            filter=_filter(selection, alive_at=now),
            with_payload=True,
            score_threshold=floor,
        )
        points = await self._run("nearest", lambda: self._shard.query(request))
        return [
            Candidate(entry=entry_of(str(point.id), point.payload or {}), similarity=point.score)
            for point in points
        ]

    async def put(self, entry: Entry, vector: Vector | None) -> None:
        point = Point(entry.entry_id, {} if vector is None else list(vector), payload_of(entry))
        await self._run("put", lambda: self._shard.update(UpdateOperation.upsert_points([point])))

    async def learn(self, entry_id: str, observations: Sequence[Observation]) -> None:
        change = UpdateOperation.set_payload([entry_id], observations_to(observations))
        await self._run("learn", lambda: self._shard.update(change))

    async def remove(self, selection: Selection) -> int:
        selected = _filter(selection)
        count = await self.count(selection)
        if count:
            await self._run(
                "remove",
                lambda: self._shard.update(UpdateOperation.delete_points_by_filter(selected)),
            )
        return count

    async def remove_expired(self, now: float) -> None:
        expired = Filter(must=[FieldCondition("expire_time", range=RangeFloat(lte=now))])
        await self._run(
            "remove_expired",
            lambda: self._shard.update(UpdateOperation.delete_points_by_filter(expired)),
        )

    async def remove_oldest(self, selection: Selection, count: int) -> int:
        request = ScrollRequest(
            limit=count,
            filter=_filter(selection),
            with_payload=False,
            with_vector=False,
            order_by=OrderBy("create_time", Direction.Asc),
        )

        def remove() -> int:
            records, _ = self._shard.scroll(request)
            ids = [record.id for record in records]
            if ids:
                self._shard.update(UpdateOperation.delete_points(ids))
            return len(ids)

        return await self._run("remove_oldest", remove)

    async def count(self, selection: Selection) -> int:
        request = CountRequest(exact=True, filter=_filter(selection))
        return await self._run("count", lambda: self._shard.count(request))

    async def byte_count(self) -> int:
        return await self._in_upkeep(
            lambda: sum(
                # A file may go while the engine merges segments.
                path.stat(follow_symlinks=False).st_blocks * 512
                for path in self._folder.rglob("*")
                if path.is_file()
            )
        )

    async def maintain(self) -> None:
        def flush_and_optimize() -> None:
            self._shard.flush()
            self._shard.optimize()

        await self._in_upkeep(flush_and_optimize)

    def close(self) -> None:
        """Wait for what runs, write all to disk and let the folder go."""
        self._calls.shutdown()
        self._upkeep.shutdown()
        self._shard.flush()
        self._shard.close()

    async def _run(self, kind: str, call: Callable[[], T]) -> T:
        def timed() -> T:
            start = time.perf_counter()
            try:
                return call()
            except Exception as error:
                # The engine raises plain Exception for whatever goes wrong.
                raise StoreUnavailable(f"the embedded store failed to {kind}") from error
            finally:
                taken = time.perf_counter() - start
                average = self._seconds.get(kind, 0.0)
                self._seconds[kind] = average + _AVERAGE_WEIGHT * (taken - average)

        if self._seconds.get(kind, 0.0) < _INLINE_SECONDS:
            return timed()
        future = asyncio.get_running_loop().run_in_executor(self._calls, timed)
        done, _ = await asyncio.wait({future}, timeout=self._limit_seconds)
        if not done:
            future.add_done_callback(_forget)
            raise StoreUnavailable(f"the embedded store took too long to {kind}")
        return future.result()

    async def _in_upkeep(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._upkeep, call)
        except Exception as error:
            raise StoreUnavailable("the embedded store failed its upkeep") from error


@asynccontextmanager
async def open_edge_store(
    folder: Path, *, dimension: int, limit_seconds: float = 0.15
) -> AsyncIterator[EdgeStore]:
    """
    Open the store in *folder*, made if it does not exist, for vectors of *dimension*.

    Raises StoreUnavailable if another process has it open. A folder that the engine
    cannot read is put aside under a new name, for a cache may always start empty.
    """
    with ExitStack() as stack:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context(folder.with_name(f"{folder.name}.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreUnavailable(
                f"another process has {folder} open; give each its own PARLEY_DATA_DIR"
            ) from error
        store = EdgeStore(_open_shard(folder, dimension), folder, limit_seconds=limit_seconds)
        try:
            yield store
        finally:
            await asyncio.to_thread(store.close)


def _open_shard(folder: Path, dimension: int) -> EdgeShard:
    config = EdgeConfig(
        vectors=EdgeVectorParams(size=dimension, distance=Distance.Cosine),
        hnsw_config=HnswIndexConfig(
            m=0, payload_m=16, ef_construct=100, full_scan_threshold=5_000, max_indexing_threads=1
        ),
        # A search of one tenant needs one thread; more would take the event loop's core.
        max_search_threads=1,
    )
    shard = _load_shard(folder, config) if folder.exists() else None
    if shard is None:
        folder.mkdir(parents=True)
        shard = EdgeShard.create(str(folder), config)
    present = shard.info().payload_schema
    for field, schema in _INDEXES:
        if field not in present:
            shard.update(UpdateOperation.create_field_index(field, schema))
    return shard


def _load_shard(folder: Path, config: EdgeConfig) -> EdgeShard | None:
    try:
        return EdgeShard.load(str(folder), config)
    except Exception:
        aside = folder.with_name(f"{folder.name}.unreadable-{time.time_ns()}")
        folder.rename(aside)
        log.exception("cache_set_aside", path=str(aside))
        return None


def _filter(selection: Selection, *, alive_at: float | None = None) -> Filter:
    conditions: list[FieldCondition | HasIdCondition] = []
    if selection.tenant_id:
        conditions.append(FieldCondition("tenant_id", match=MatchValue(selection.tenant_id)))
    if selection.partition is not None:
        conditions.append(FieldCondition("partition", match=MatchValue(selection.partition.key)))
    if selection.entry_id:
        conditions.append(HasIdCondition({selection.entry_id}))
    if selection.template:
        conditions.append(FieldCondition("template", match=MatchValue(selection.template)))
    if selection.template_version:
        version = MatchValue(selection.template_version)
        conditions.append(FieldCondition("template_version", match=version))
    if selection.tag:
        conditions.append(FieldCondition("tags", match=MatchValue(selection.tag)))
    if alive_at is not None:
        conditions.append(FieldCondition("expire_time", range=RangeFloat(gt=alive_at)))
    return Filter(must=list(conditions))


def _forget(future: asyncio.Future[T]) -> None:
    """Look at the late result, so that its error is not reported as never retrieved."""
    if not future.cancelled():
        future.exception()
