"""Answers in Qdrant's engine inside this process: a folder, no server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import TypeVar
from uuid import UUID

import structlog
from qdrant_edge import (
    CountRequest,
    Direction,
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
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
    VectorStorageDatatype,
)

from parley_services.semantic_cache.entry import Candidate, Entry
from parley_services.semantic_cache.store.edge_folders import EdgeFolders, locked
from parley_services.semantic_cache.store.payload import (
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    entry_of,
    observations_to,
    payload_of,
)
from parley_services.semantic_cache.store.store import Selection, StoreUnavailable, Vector
from parley_services.semantic_cache.verify.calibration import Observation

log = structlog.get_logger()

T = TypeVar("T")

PointId = int | UUID | str

_FLUSH_SECONDS = 60.0
"""Writing all to disk stops this process for about 0.1 s, so it is not done often."""

_LEAST_WASTE = 1_000
_MOVED_AT_ONCE = 25
_REST_SECONDS = 0.02
"""Moving 25 entries takes about 5 ms; this long the process does other work in between."""

_INDEXES: tuple[tuple[str, KeywordIndexParams | IntegerIndexParams | FloatIndexParams], ...] = (
    ("tenant_id", KeywordIndexParams(is_tenant=True)),
    *((name, KeywordIndexParams()) for name in KEYWORD_FIELDS),
    *((name, IntegerIndexParams(lookup=True, range=False)) for name in INTEGER_FIELDS),
    *((name, FloatIndexParams()) for name in FLOAT_FIELDS),
)


class EdgeStore:
    """
    An AnswerStore in one folder of this machine.

    A write is in the log file when the call returns and so survives `kill -9`; it survives
    a power cut once `maintain` has written all to disk, at most once a minute. A search reads
    every vector of its partition. Calls run on the event loop: the engine holds Python's
    lock, so that a thread would free nobody. For the same reason its optimizer is never run,
    which would stop the process for minutes; once removed entries outnumber the living,
    `maintain` moves these to a new folder, a few at a time. Open it with `open_edge_store`.
    """

    def __init__(self, shard: EdgeShard, folders: EdgeFolders, *, dimension: int) -> None:
        self._shard = shard
        self._folders = folders
        self._dimension = dimension
        self._successor: EdgeShard | None = None
        self._written = shard.info().points_count
        self._is_dirty = False
        self._flushed_at = monotonic()

    async def get(self, entry_id: str) -> Entry | None:
        records = _called("get", lambda: self._shard.retrieve([entry_id], True, False))
        return entry_of(entry_id, records[0].payload or {}) if records else None

    async def nearest(
        self, vector: Vector, selection: Selection, *, now: float, floor: float, limit: int
    ) -> list[Candidate]:
        request = QueryRequest(
            limit=limit,
            query=Query.Nearest(list(vector)),
            filter=_search_filter(selection, now),
            with_payload=True,
            score_threshold=floor,
        )
        points = _called("search", lambda: self._shard.query(request))
        candidates = [
            Candidate(entry=entry_of(str(point.id), point.payload or {}), similarity=point.score)
            for point in points
        ]
        return [each for each in candidates if each.entry.expire_time > now]

    async def put(self, entry: Entry, vector: Vector | None) -> None:
        point = Point(entry.entry_id, {} if vector is None else list(vector), payload_of(entry))
        self._change("put", UpdateOperation.upsert_points([point]))
        self._written += 1

    async def learn(self, entry_id: str, observations: Sequence[Observation]) -> None:
        # By a filter, for an id that is gone would be an error.
        selected = Filter(must=[HasIdCondition({entry_id})])
        payload = observations_to(observations)
        self._change("learn", UpdateOperation.set_payload_by_filter(selected, payload))

    async def remove(self, selection: Selection) -> int:
        count = await self.count(selection)
        if count:
            selected = _filter(selection)
            self._change("remove", UpdateOperation.delete_points_by_filter(selected))
        return count

    async def remove_expired(self, now: float) -> None:
        expired = Filter(must=[FieldCondition("expire_time", range=RangeFloat(lte=now))])
        if _called("count", lambda: self._shard.count(CountRequest(exact=True, filter=expired))):
            self._change("remove", UpdateOperation.delete_points_by_filter(expired))

    async def remove_oldest(self, selection: Selection, count: int) -> int:
        request = ScrollRequest(
            limit=count,
            filter=_filter(selection),
            with_payload=False,
            with_vector=False,
            order_by=OrderBy("create_time", Direction.Asc),
        )
        records, _ = _called("list", lambda: self._shard.scroll(request))
        ids = [record.id for record in records]
        if ids:
            self._change("remove", UpdateOperation.delete_points(ids))
        return len(ids)

    async def count(self, selection: Selection) -> int:
        request = CountRequest(exact=True, filter=_filter(selection))
        return _called("count", lambda: self._shard.count(request))

    async def byte_count(self) -> int:
        folder = self._folders.current
        return await asyncio.to_thread(
            lambda: sum(
                path.stat(follow_symlinks=False).st_blocks * 512
                for path in folder.rglob("*")
                if path.is_file()
            )
        )

    async def maintain(self) -> None:
        if self._is_dirty and monotonic() - self._flushed_at >= _FLUSH_SECONDS:
            self._flush()
        living = _called("count", self._shard.info).points_count
        if self._written - living > max(living, _LEAST_WASTE):
            await self.move()

    async def move(self) -> None:
        """
        Move what lives to a new folder, leaving what was removed behind.

        Other calls go on meanwhile and change both. Cancelled, it leaves all as it was.
        """
        folder = self._folders.successor()
        successor = _called("move", lambda: _new_shard(folder, self._dimension))
        self._successor = successor
        try:
            offset: PointId | None = None
            while True:
                offset = self._move_some(successor, offset)
                if offset is None:
                    break
                await asyncio.sleep(_REST_SECONDS)
            _called("move", successor.flush)
        except BaseException:
            self._successor = None
            successor.close()
            raise
        former, self._shard, self._successor = self._shard, successor, None
        former.close()
        self._folders.move_to(folder)
        self._written = successor.info().points_count
        self._flushed_at = monotonic()
        log.info("cache_moved", count=self._written)

    def close(self) -> None:
        """Write all to disk and let the folder go."""
        self._flush()
        self._shard.close()

    def _flush(self) -> None:
        _called("write to disk", self._shard.flush)
        self._is_dirty = False
        self._flushed_at = monotonic()

    def _change(self, what: str, operation: UpdateOperation) -> None:
        _called(what, lambda: self._shard.update(operation))
        self._is_dirty = True
        successor = self._successor
        if successor is not None:
            # What was not moved yet comes as it is now; what was changes here as well.
            _called(what, lambda: successor.update(operation))

    def _move_some(self, successor: EdgeShard, offset: PointId | None) -> PointId | None:
        request = ScrollRequest(
            limit=_MOVED_AT_ONCE, offset=offset, with_payload=True, with_vector=True
        )
        records, following = _called("move", lambda: self._shard.scroll(request))
        points = [Point(each.id, each.vector or {}, each.payload) for each in records]
        if points:
            _called("move", lambda: successor.update(UpdateOperation.upsert_points(points)))
        return following


@asynccontextmanager
async def open_edge_store(folder: Path, *, dimension: int) -> AsyncIterator[EdgeStore]:
    """
    Open the store in *folder*, made if it does not exist, for vectors of *dimension*.

    Raises StoreUnavailable if another process has it open. A folder that the engine
    cannot read is put aside under a new name, for a cache may always start empty.
    """
    with ExitStack() as stack:
        stack.enter_context(locked(folder))
        folders = EdgeFolders(folder)
        folders.prepare()
        store = EdgeStore(_open_shard(folders, dimension), folders, dimension=dimension)
        try:
            yield store
        finally:
            store.close()


def _open_shard(folders: EdgeFolders, dimension: int) -> EdgeShard:
    if not folders.current.exists():
        return _new_shard(folders.current, dimension)
    try:
        shard = EdgeShard.load(str(folders.current), _config(dimension))
        _make_indexes(shard)
    except Exception:
        log.exception("cache_set_aside", path=str(folders.put_aside()))
        return _new_shard(folders.current, dimension)
    return shard


def _new_shard(folder: Path, dimension: int) -> EdgeShard:
    folder.mkdir(parents=True)
    shard = EdgeShard.create(str(folder), _config(dimension))
    _make_indexes(shard)
    return shard


def _config(dimension: int) -> EdgeConfig:
    return EdgeConfig(
        # Half the bytes are half the time of a search, for a thousandth of the cosine.
        vectors=EdgeVectorParams(
            size=dimension, distance=Distance.Cosine, datatype=VectorStorageDatatype.Float16
        ),
        # No graph: building one holds Python's lock, up to some milliseconds an entry.
        hnsw_config=HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=2**30),
        optimizers=EdgeOptimizersConfig(indexing_threshold=2**30),
        # A search of one partition needs one thread.
        max_search_threads=1,
    )


def _make_indexes(shard: EdgeShard) -> None:
    present = shard.info().payload_schema
    for field, schema in _INDEXES:
        if field not in present:
            shard.update(UpdateOperation.create_field_index(field, schema))


def _called(what: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except Exception as error:
        # The engine raises plain Exception for whatever goes wrong.
        raise StoreUnavailable(f"the embedded store failed to {what}") from error


def _search_filter(selection: Selection, now: float) -> Filter:
    """
    Return the conditions of a search; by partition there is one, the hash of all its fields.

    Each further condition is checked entry by entry and takes as long as the search itself.
    The tenant is among the fields that were hashed, and expiry is looked at in what is found.
    """
    if selection == Selection(tenant_id=selection.tenant_id, partition=selection.partition):
        partition = selection.partition
        if partition is not None and partition.tenant_id == selection.tenant_id:
            match = MatchValue(partition.key)
            return Filter(must=[FieldCondition("partition", match=match)])
    return _filter(selection, alive_at=now)


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
