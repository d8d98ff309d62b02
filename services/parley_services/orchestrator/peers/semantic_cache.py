"""The semantic cache over gRPC, in process or not."""

from datetime import UTC

import grpc
from parley.chat.v1 import answer_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as pb_grpc

from parley_services.kit.chat import from_proto, to_proto
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.peers.calling import calling
from parley_services.orchestrator.values.cache import (
    CachedAnswer,
    Found,
    GivenHit,
    Held,
    Hit,
    Partition,
    Vacant,
)
from parley_services.orchestrator.values.records import NewAnswer

PEER = "semantic_cache"

_SOURCES = {
    pb.TIER_EXACT: AnswerSource.CACHE_EXACT,
    pb.TIER_SEMANTIC: AnswerSource.CACHE_SEMANTIC,
    pb.TIER_FALLBACK: AnswerSource.CACHE_FALLBACK,
}


class GrpcCache:
    """`Cache` by the semantic cache service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.SemanticCacheServiceAsyncStub = pb_grpc.SemanticCacheServiceStub(
            channel
        )

    async def lookup(
        self,
        partition: Partition,
        text: str,
        *,
        request_id: str,
        is_fallback: bool,
        lock_seconds: float,
        timeout_seconds: float,
    ) -> Found:
        with calling(PEER):
            response = await self._stub.Lookup(
                pb.LookupRequest(
                    request_id=request_id,
                    partition=_partition_to_proto(partition),
                    text=text,
                    fallback=is_fallback,
                    lock_ttl=to_proto.duration(lock_seconds) if lock_seconds else None,
                ),
                timeout=timeout_seconds,
            )
        if response.miss.reason == pb.MISS_REASON_STORE_UNAVAILABLE:
            raise DependencyUnavailable(
                "The cache's store is unavailable: go on without.", metadata={"dependency": PEER}
            )
        if not response.HasField("hit"):
            if response.miss.HasField("lock_expire_time"):
                return Held()
            return Vacant(lock_id=response.miss.lock_id)
        hit = response.hit
        return Hit(
            entry_id=hit.entry_id,
            source=AnswerSource.CACHE_FALLBACK if is_fallback else _SOURCES[hit.tier],
            similarity=hit.similarity,
            probability=hit.probability,
            answer=CachedAnswer(
                text=hit.answer.text,
                provider=hit.answer.provider,
                model=hit.answer.model,
                usage=from_proto.usage(hit.answer.usage),
                cost_nano_usd=hit.answer.cost_nano_usd,
            ),
            create_time=hit.create_time.ToDatetime(UTC),
            age_seconds=from_proto.seconds(hit.age),
        )

    async def report_hit(self, hit: GivenHit, *, correct: bool, timeout_seconds: float) -> None:
        with calling(PEER):
            await self._stub.ReportHit(
                pb.ReportHitRequest(
                    tenant_id=hit.tenant_id,
                    entry_id=hit.entry_id,
                    request_id=hit.request_id,
                    correct=correct,
                    probability=hit.probability,
                ),
                timeout=timeout_seconds,
            )

    async def release(self, tenant_id: str, lock_id: str, *, timeout_seconds: float) -> None:
        """Release a generation lock. Raises DependencyUnavailable."""
        with calling(PEER):
            await self._stub.ReleaseGenerationLock(
                pb.ReleaseGenerationLockRequest(tenant_id=tenant_id, lock_id=lock_id),
                timeout=timeout_seconds,
            )


def new_answer_to_proto(new: NewAnswer) -> pb.StoreRequest:
    """Return *new* as it is sent, now or after a crash."""
    return pb.StoreRequest(
        request_id=new.request_id,
        partition=_partition_to_proto(new.partition),
        text=new.text,
        lock_id=new.lock_id,
        answer=pb.Answer(
            text=new.answer.text,
            finish_reason=answer_pb2.FINISH_REASON_STOP,
            provider=new.answer.provider,
            model=new.answer.model,
            usage=to_proto.usage(new.answer.usage),
            cost_nano_usd=new.answer.cost_nano_usd,
        ),
    )


def _partition_to_proto(partition: Partition) -> pb.Partition:
    return pb.Partition(
        tenant_id=partition.tenant_id,
        user_id=partition.user_id,
        template=partition.template,
        template_version=partition.template_version,
        model_class=partition.model_class,
        fingerprint=partition.fingerprint,
    )
