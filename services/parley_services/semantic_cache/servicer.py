"""The gRPC face of the semantic cache: converts messages, decides nothing."""

from typing import Any

import grpc
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as pb_grpc

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.from_proto import seconds
from parley_services.semantic_cache import from_proto, to_proto
from parley_services.semantic_cache.cache import SemanticCache
from parley_services.semantic_cache.generation_locks import GenerationLocks
from parley_services.semantic_cache.outcome import Miss, NotStored, Stored
from parley_services.semantic_cache.statistics_pages import page_of
from parley_services.semantic_cache.store.persisted_statistics import PersistedStatistics

Context = grpc.aio.ServicerContext[Any, Any]


class SemanticCacheServicer(pb_grpc.SemanticCacheServiceServicer):
    """`parley.semantic_cache.v1.SemanticCacheService` over the domain."""

    def __init__(
        self, cache: SemanticCache, locks: GenerationLocks, statistics: PersistedStatistics
    ) -> None:
        self._cache = cache
        self._locks = locks
        self._statistics = statistics

    async def Lookup(self, request: pb.LookupRequest, context: Context) -> pb.LookupResponse:
        partition = from_proto.partition(request.partition)
        outcome = await self._cache.lookup(
            partition,
            request.text,
            is_fallback=request.fallback,
            request_id=request.request_id,
        )
        response = to_proto.lookup_response(outcome)
        if isinstance(outcome, Miss) and request.HasField("lock_ttl"):
            lock = await self._locks.on_miss(
                outcome,
                partition,
                request.text,
                request_id=request.request_id,
                ttl_seconds=seconds(request.lock_ttl),
            )
            if lock is not None and lock.holder == request.request_id:
                response.miss.lock_id = lock.lock_id
            elif lock is not None:
                response.miss.lock_expire_time.CopyFrom(to_proto.timestamp(lock.expire_time))
        return response

    async def Store(self, request: pb.StoreRequest, context: Context) -> pb.StoreResponse:
        outcome = await self._cache.store(
            from_proto.partition(request.partition),
            request.text,
            from_proto.answer(request.answer),
            finish_reason=FinishReason(request.answer.finish_reason),
            ttl_seconds=seconds(request.ttl) if request.HasField("ttl") else None,
            tags=request.tags,
            request_id=request.request_id,
        )
        if request.lock_id:
            await self._locks.release(request.partition.tenant_id, request.lock_id)
        match outcome:
            case Stored(entry_id=entry_id):
                return pb.StoreResponse(entry_id=entry_id)
            case NotStored(refusal=refusal):
                return pb.StoreResponse(refusal=refusal)

    async def ReportHit(
        self, request: pb.ReportHitRequest, context: Context
    ) -> pb.ReportHitResponse:
        await self._cache.report_hit(
            request.tenant_id,
            request.entry_id,
            correct=request.correct,
            probability=request.probability,
        )
        return pb.ReportHitResponse()

    async def ExplainLookup(
        self, request: pb.ExplainLookupRequest, context: Context
    ) -> pb.ExplainLookupResponse:
        explanation = await self._cache.explain(
            from_proto.partition(request.partition),
            request.text,
            any_partition=request.any_partition,
        )
        return to_proto.explanation(explanation)

    async def PurgeEntries(
        self, request: pb.PurgeEntriesRequest, context: Context
    ) -> pb.PurgeEntriesResponse:
        removed = await self._cache.purge(from_proto.selection(request))
        return pb.PurgeEntriesResponse(removed_count=removed)

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.GetStatsResponse:
        page = page_of(
            await self._statistics.totals(request.tenant_id),
            size=request.page_size,
            token=request.page_token,
        )
        entries = await self._cache.entries_by_template(page.counts)
        return pb.GetStatsResponse(
            partitions=[
                to_proto.partition_stats(key, counts, entry_count=entries.get(key, 0))
                for key, counts in page.counts.items()
            ],
            entry_count=await self._cache.entry_count(request.tenant_id),
            byte_count=await self._cache.byte_count(),
            next_page_token=page.next_token,
        )

    async def AcquireGenerationLock(
        self, request: pb.AcquireGenerationLockRequest, context: Context
    ) -> pb.AcquireGenerationLockResponse:
        lock = await self._locks.acquire(
            from_proto.partition(request.partition),
            request.text,
            request_id=request.request_id,
            ttl_seconds=seconds(request.ttl),
        )
        return pb.AcquireGenerationLockResponse(
            lock_id=lock.lock_id if lock.holder == request.request_id else "",
            expire_time=to_proto.timestamp(lock.expire_time),
        )

    async def ReleaseGenerationLock(
        self, request: pb.ReleaseGenerationLockRequest, context: Context
    ) -> pb.ReleaseGenerationLockResponse:
        await self._locks.release(request.tenant_id, request.lock_id)
        return pb.ReleaseGenerationLockResponse()
