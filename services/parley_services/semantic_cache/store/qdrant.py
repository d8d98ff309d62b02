"""Answers on a Qdrant server, for any number of cache replicas."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from grpc.aio import AioRpcError
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from parley_services.semantic_cache.entry import Candidate, Entry
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

T = TypeVar("T")

_FAILURES = (AioRpcError, ApiException, QdrantException, httpx.HTTPError, OSError)


class QdrantStore:
    """
    An AnswerStore in one collection of a Qdrant server.

    All replicas of the cache share it. Writes wait until they can be read. A read that takes
    longer than *limit_seconds* raises StoreUnavailable. The collection is made by the first
    call that reaches the server, so that a cache can start while Qdrant is away. Open it
    with `open_qdrant_store`.
    """

    def __init__(
        self, client: AsyncQdrantClient, collection: str, *, dimension: int, limit_seconds: float
    ) -> None:
        self._client = client
        self._collection = collection
        self._dimension = dimension
        self._limit_seconds = limit_seconds
        self._is_ready = False

    async def get(self, entry_id: str) -> Entry | None:
        await self._prepare()
        records = await self._read(self._client.retrieve(self._collection, [entry_id]))
        return entry_of(entry_id, records[0].payload or {}) if records else None

    async def nearest(
        self, vector: Vector, selection: Selection, *, now: float, floor: float, limit: int
    ) -> list[Candidate]:
        await self._prepare()
        response = await self._read(
            self._client.query_points(
                self._collection,
                query=list(vector),
                query_filter=_filter(selection, alive_at=now),
                limit=limit,
                score_threshold=floor,
            )
        )
        return [
            Candidate(entry=entry_of(str(point.id), point.payload or {}), similarity=point.score)
            for point in response.points
        ]

    async def put(self, entry: Entry, vector: Vector | None) -> None:
        await self._prepare()
        point = models.PointStruct(
            id=entry.entry_id,
            vector={} if vector is None else list(vector),
            payload=payload_of(entry),
        )
        await reached(self._client.upsert(self._collection, [point], wait=True))

    async def learn(self, entry_id: str, observations: Sequence[Observation]) -> None:
        await self._prepare()
        # By a filter, for an id that is gone would be an error.
        selected = models.Filter(must=[models.HasIdCondition(has_id=[entry_id])])
        payload = observations_to(observations)
        await reached(
            self._client.set_payload(self._collection, payload, points=selected, wait=True)
        )

    async def remove(self, selection: Selection) -> int:
        count = await self.count(selection)
        if count:
            await self._delete(models.FilterSelector(filter=_filter(selection)))
        return count

    async def remove_expired(self, now: float) -> None:
        expired = models.FieldCondition(key="expire_time", range=models.Range(lte=now))
        await self._delete(models.FilterSelector(filter=models.Filter(must=[expired])))

    async def remove_oldest(self, selection: Selection, count: int) -> int:
        await self._prepare()
        records, _ = await reached(
            self._client.scroll(
                self._collection,
                scroll_filter=_filter(selection),
                limit=count,
                order_by=models.OrderBy(key="create_time", direction=models.Direction.ASC),
                with_payload=False,
            )
        )
        if records:
            await self._delete(models.PointIdsList(points=[record.id for record in records]))
        return len(records)

    async def count(self, selection: Selection) -> int:
        await self._prepare()
        counted = await reached(
            self._client.count(self._collection, count_filter=_filter(selection), exact=True)
        )
        return counted.count

    async def byte_count(self) -> int:
        """Return 0: a server does not tell what one collection takes."""
        return 0

    async def maintain(self) -> None:
        """Do nothing: the server flushes and optimizes by itself."""

    async def _prepare(self) -> None:
        """Make the collection unless that was done."""
        if not self._is_ready:
            await ensure_collection(self._client, self._collection, dimension=self._dimension)
            self._is_ready = True

    async def _read(self, call: Awaitable[T]) -> T:
        """Wait for *call*, but not for long: a look-up that is slow saves nothing."""
        task = asyncio.ensure_future(reached(call))
        done, _ = await asyncio.wait({task}, timeout=self._limit_seconds)
        if not done:
            task.add_done_callback(_forget)
            raise StoreUnavailable("the Qdrant server took too long")
        return task.result()

    async def _delete(self, selector: models.FilterSelector | models.PointIdsList) -> None:
        await self._prepare()
        await reached(self._client.delete(self._collection, selector, wait=True))


@asynccontextmanager
async def open_qdrant_store(
    client: AsyncQdrantClient, collection: str, *, dimension: int, limit_seconds: float = 0.15
) -> AsyncIterator[QdrantStore]:
    """Open *collection* on the server of *client*; close *client* at the end."""
    try:
        yield QdrantStore(client, collection, dimension=dimension, limit_seconds=limit_seconds)
    finally:
        await client.close()


async def ensure_collection(client: AsyncQdrantClient, collection: str, *, dimension: int) -> None:
    """Make *collection* with its indexes unless it is there. Raises StoreUnavailable."""
    if not await reached(client.collection_exists(collection)):
        try:
            await reached(
                client.create_collection(
                    collection,
                    vectors_config=models.VectorParams(
                        size=dimension, distance=models.Distance.COSINE
                    ),
                    # One graph per tenant, none over all: a search sees one tenant only.
                    hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
                )
            )
        except StoreUnavailable:
            # Another replica may have made it since.
            if not await reached(client.collection_exists(collection)):
                raise
    indexes: Sequence[tuple[str, Any]] = (
        (
            "tenant_id",
            models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
        ),
        *((name, models.PayloadSchemaType.KEYWORD) for name in KEYWORD_FIELDS),
        *((name, models.PayloadSchemaType.INTEGER) for name in INTEGER_FIELDS),
        *((name, models.PayloadSchemaType.FLOAT) for name in FLOAT_FIELDS),
    )
    for field, schema in indexes:
        # Again and again does no harm, and completes what a killed replica began.
        await reached(client.create_payload_index(collection, field, schema))


async def reached(call: Awaitable[T]) -> T:
    """Return what *call* to the server returns. Raises StoreUnavailable if it fails."""
    try:
        return await call
    except _FAILURES as error:
        raise StoreUnavailable("the Qdrant server could not do it") from error


def _filter(selection: Selection, *, alive_at: float | None = None) -> models.Filter:
    conditions: list[models.Condition] = []
    equal: tuple[tuple[str, str | int], ...] = (
        ("tenant_id", selection.tenant_id),
        ("partition", selection.partition.key if selection.partition else ""),
        ("template", selection.template),
        ("template_version", selection.template_version),
        ("tags", selection.tag),
    )
    for key, value in equal:
        if value:
            match = models.MatchValue(value=value)
            conditions.append(models.FieldCondition(key=key, match=match))
    if selection.entry_id:
        conditions.append(models.HasIdCondition(has_id=[selection.entry_id]))
    if alive_at is not None:
        alive = models.Range(gt=alive_at)
        conditions.append(models.FieldCondition(key="expire_time", range=alive))
    return models.Filter(must=conditions)


def _forget(task: "asyncio.Future[T]") -> None:
    """Look at the late result, so that its error is not reported as never retrieved."""
    if not task.cancelled():
        task.exception()
