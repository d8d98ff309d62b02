"""Locks on a Qdrant server, shared by all replicas of the cache."""

from collections.abc import Mapping
from types import MappingProxyType

from qdrant_client import AsyncQdrantClient, models

from parley_services.semantic_cache.generation_locks import GenerationLock
from parley_services.semantic_cache.store.qdrant import reached
from parley_services.semantic_cache.store.store import StoreUnavailable


class QdrantGenerationLocks:
    """
    A GenerationLockStore in a collection of its own, one point without a vector for each key.

    Qdrant applies an upsert with a condition to one point as a whole, so of two replicas
    that try at once one wins, and reading back tells which. The collection is made by
    the first call that reaches the server.
    """

    def __init__(self, client: AsyncQdrantClient, collection: str) -> None:
        self._client = client
        self._collection = collection
        self._is_ready = False

    async def acquire(self, lock: GenerationLock, *, now: float) -> GenerationLock:
        await self._prepare()
        free = models.Filter(
            should=[
                models.FieldCondition(key="expire_time", range=models.Range(lte=now)),
                models.FieldCondition(key="holder", match=models.MatchValue(value=lock.holder)),
            ]
        )
        point = models.PointStruct(
            id=lock.key,
            vector={},
            payload={
                "holder": lock.holder,
                "tenant_id": lock.tenant_id,
                "expire_time": lock.expire_time,
            },
        )
        await reached(
            self._client.upsert(
                self._collection,
                [point],
                wait=True,
                ordering=models.WriteOrdering.STRONG,
                update_filter=free,
            )
        )
        records = await reached(
            self._client.retrieve(
                self._collection, [lock.key], consistency=models.ReadConsistencyType.ALL
            )
        )
        if not records:
            # Given back between the two calls; whoever asks next gets it.
            return lock
        payload = records[0].payload or {}
        return GenerationLock(
            key=lock.key,
            holder=payload["holder"],
            tenant_id=payload["tenant_id"],
            expire_time=payload["expire_time"],
        )

    async def release(self, lock: GenerationLock) -> None:
        await self._prepare()
        own = models.Filter(
            must=[
                models.HasIdCondition(has_id=[lock.key]),
                models.FieldCondition(key="holder", match=models.MatchValue(value=lock.holder)),
                models.FieldCondition(
                    key="tenant_id", match=models.MatchValue(value=lock.tenant_id)
                ),
            ]
        )
        await reached(
            self._client.delete(
                self._collection,
                models.FilterSelector(filter=own),
                wait=True,
                ordering=models.WriteOrdering.STRONG,
            )
        )

    async def _prepare(self) -> None:
        if not self._is_ready:
            await ensure_plain_collection(self._client, self._collection)
            self._is_ready = True


async def ensure_plain_collection(
    client: AsyncQdrantClient,
    collection: str,
    *,
    indexes: Mapping[str, models.PayloadSchemaType] = MappingProxyType({}),
) -> None:
    """Make *collection*, of points without vectors, unless it is there. StoreUnavailable."""
    if not await reached(client.collection_exists(collection)):
        try:
            await reached(client.create_collection(collection, vectors_config={}))
        except StoreUnavailable:
            # Another replica may have made it since.
            if not await reached(client.collection_exists(collection)):
                raise
    for field, schema in indexes.items():
        await reached(client.create_payload_index(collection, field, schema))
