"""The gRPC face of the semantic cache: converts messages, decides nothing."""

from typing import Any

import grpc
from parley.chat.v1 import answer_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as pb_grpc

from parley_services.kit.chat import from_proto
from parley_services.semantic_cache import messages
from parley_services.semantic_cache.cache import SemanticCache
from parley_services.semantic_cache.generation_locks import Leasing
from parley_services.semantic_cache.outcome import Miss, NotStored, Stored
from parley_services.semantic_cache.store.persisted_statistics import KeptStatistics
from parley_services.semantic_cache.store.store import Selection

Context = grpc.aio.ServicerContext[Any, Any]


class SemanticCacheServicer(pb_grpc.SemanticCacheServiceServicer):
    """`parley.semantic_cache.v1.SemanticCacheService` over the domain."""

    def __init__(self, cache: SemanticCache, leasing: Leasing, statistics: KeptStatistics) -> None:
        self._cache = cache
        self._leasing = leasing
        self._statistics = statistics

    async def Lookup(self, request: pb.LookupRequest, context: Context) -> pb.LookupResponse:
        partition = messages.partition_from(request.partition)
        outcome = await self._cache.lookup(
            partition,
            request.text,
            is_fallback=request.fallback,
            request_id=request.request_id,
        )
        response = messages.outcome_to(outcome)
        if isinstance(outcome, Miss) and request.HasField("lease_ttl"):
            lease = await self._leasing.on_miss(
                outcome,
                partition,
                request.text,
                request_id=request.request_id,
                ttl_seconds=from_proto.seconds(request.lease_ttl),
            )
            if lease is not None:
                messages.note_lease(response.miss, lease, request_id=request.request_id)
        return response

    async def Store(self, request: pb.StoreRequest, context: Context) -> pb.StoreResponse:
        outcome = await self._cache.store(
            messages.partition_from(request.partition),
            request.text,
            messages.answer_from(request.answer),
            ended_normally=request.answer.finish_reason == answer_pb2.FINISH_REASON_STOP,
            ttl_seconds=from_proto.seconds(request.ttl) if request.HasField("ttl") else None,
            tags=request.tags,
            request_id=request.request_id,
        )
        if request.lease_id:
            await self._leasing.release(request.partition.tenant_id, request.lease_id)
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
            messages.partition_from(request.partition),
            request.text,
            any_partition=request.any_partition,
        )
        return pb.ExplainLookupResponse(
            outcome=messages.outcome_to(explanation.outcome),
            candidates=[messages.candidate_to(each) for each in explanation.considered],
        )

    async def PurgeEntries(
        self, request: pb.PurgeEntriesRequest, context: Context
    ) -> pb.PurgeEntriesResponse:
        removed = await self._cache.purge(
            Selection(
                tenant_id=request.tenant_id,
                entry_id=request.entry_id,
                template=request.template,
                template_version=request.template_version,
                tag=request.tag,
            )
        )
        return pb.PurgeEntriesResponse(removed_count=removed)

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.GetStatsResponse:
        totals = await self._statistics.totals(request.tenant_id)
        entries = await self._cache.entries_by_template(totals)
        return pb.GetStatsResponse(
            partitions=[
                messages.counts_to(
                    tenant_id,
                    template,
                    counts,
                    entry_count=entries.get((tenant_id, template), 0),
                )
                for (tenant_id, template), counts in totals.items()
            ],
            entry_count=await self._cache.entry_count(request.tenant_id),
            byte_count=await self._cache.byte_count(),
        )

    async def AcquireLease(
        self, request: pb.AcquireLeaseRequest, context: Context
    ) -> pb.AcquireLeaseResponse:
        lease = await self._leasing.acquire(
            messages.partition_from(request.partition),
            request.text,
            request_id=request.request_id,
            ttl_seconds=from_proto.seconds(request.ttl),
        )
        return pb.AcquireLeaseResponse(
            lease_id=lease.lease_id if lease.holder == request.request_id else "",
            expire_time=messages.timestamp_to(lease.expire_time),
        )

    async def ReleaseLease(
        self, request: pb.ReleaseLeaseRequest, context: Context
    ) -> pb.ReleaseLeaseResponse:
        await self._leasing.release(request.tenant_id, request.lease_id)
        return pb.ReleaseLeaseResponse()
