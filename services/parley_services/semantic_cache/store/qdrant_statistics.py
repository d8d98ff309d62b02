"""Statistics on a Qdrant server, shared by all replicas of the cache."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from qdrant_client import AsyncQdrantClient, models

from parley_services.semantic_cache.statistics import Counts, Key
from parley_services.semantic_cache.store.qdrant import reached
from parley_services.semantic_cache.store.qdrant_locks import ensure_plain_collection

_PAGE: Final = 1_000
_POINTS: Final = uuid.UUID("0a9a7c84-3b1d-4a53-8f0a-0e5a7d6b7f10")


class QdrantStatistics:
    """
    A StatisticsStore in a collection of its own, one point without a vector a place and key.

    The collection is made by the first call that reaches the server.
    """

    def __init__(self, client: AsyncQdrantClient, collection: str) -> None:
        self._client = client
        self._collection = collection
        self._is_ready = False

    async def read(
        self, *, place: int | None = None, tenant_id: str = ""
    ) -> list[tuple[int, Key, Counts]]:
        await self._prepare()
        conditions: list[models.Condition] = []
        if place is not None:
            match = models.MatchValue(value=place)
            conditions.append(models.FieldCondition(key="place", match=match))
        if tenant_id:
            match = models.MatchValue(value=tenant_id)
            conditions.append(models.FieldCondition(key="tenant_id", match=match))
        found: list[tuple[int, Key, Counts]] = []
        offset: Any = None
        while True:
            records, following = await reached(
                self._client.scroll(
                    self._collection,
                    scroll_filter=models.Filter(must=conditions),
                    limit=_PAGE,
                    offset=offset,
                )
            )
            for payload in (record.payload or {} for record in records):
                key = (payload["tenant_id"], payload["template"])
                found.append((payload["place"], key, Counts.of(payload["counts"])))
            if following is None:
                return found
            offset = following

    async def write(self, place: int, counts: Mapping[Key, Counts]) -> None:
        await self._prepare()
        points = [
            models.PointStruct(
                id=str(uuid.uuid5(_POINTS, "\n".join((str(place), *key)))),
                vector={},
                payload={
                    "place": place,
                    "tenant_id": key[0],
                    "template": key[1],
                    "counts": each.plain(),
                },
            )
            for key, each in counts.items()
        ]
        for start in range(0, len(points), _PAGE):
            page = points[start : start + _PAGE]
            await reached(self._client.upsert(self._collection, page, wait=True))

    async def _prepare(self) -> None:
        if not self._is_ready:
            await ensure_plain_collection(
                self._client,
                self._collection,
                indexes={
                    "place": models.PayloadSchemaType.INTEGER,
                    "tenant_id": models.PayloadSchemaType.KEYWORD,
                },
            )
            self._is_ready = True
