"""Converts between the domain's values and the messages of the wire."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from parley.chat.v1 import answer_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb

from parley_services.kit.chat import from_proto, to_proto
from parley_services.semantic_cache.entry import Answer
from parley_services.semantic_cache.generation_locks import Lease
from parley_services.semantic_cache.outcome import Considered, Hit, Miss, MissReason, Tier
from parley_services.semantic_cache.partition import Partition
from parley_services.semantic_cache.statistics import Counts

_TIERS = {
    Tier.EXACT: pb.TIER_EXACT,
    Tier.SEMANTIC: pb.TIER_SEMANTIC,
    Tier.FALLBACK: pb.TIER_FALLBACK,
}
_REASONS = {
    MissReason.NO_CANDIDATE: pb.MISS_REASON_NO_CANDIDATE,
    MissReason.REFUSED: pb.MISS_REASON_REFUSED,
    MissReason.STORE_UNAVAILABLE: pb.MISS_REASON_STORE_UNAVAILABLE,
    MissReason.EXPLORE: pb.MISS_REASON_EXPLORE,
    MissReason.NOT_CACHEABLE: pb.MISS_REASON_NOT_CACHEABLE,
}


def partition_from(message: pb.Partition) -> Partition:
    return Partition(
        tenant_id=message.tenant_id,
        user_id=message.user_id,
        template=message.template,
        template_version=message.template_version,
        model_class=message.model_class,
        fingerprint=message.fingerprint,
    )


def answer_from(message: pb.Answer) -> Answer:
    return Answer(
        text=message.text,
        provider=message.provider,
        model=message.model,
        usage=from_proto.usage(message.usage),
        cost_nano_usd=message.cost_nano_usd,
    )


def answer_to(answer: Answer) -> pb.Answer:
    return pb.Answer(
        text=answer.text,
        # No other answer is ever kept.
        finish_reason=answer_pb2.FINISH_REASON_STOP,
        provider=answer.provider,
        model=answer.model,
        usage=to_proto.usage(answer.usage),
        cost_nano_usd=answer.cost_nano_usd,
    )


def outcome_to(outcome: Hit | Miss) -> pb.LookupResponse:
    match outcome:
        case Hit():
            return pb.LookupResponse(hit=_hit_to(outcome))
        case Miss():
            return pb.LookupResponse(
                miss=pb.LookupResponse.Miss(
                    reason=_REASONS[outcome.reason],
                    best_similarity=_share(outcome.best_similarity),
                    refusal=outcome.refusal,
                    explored_entry_id=outcome.explored_entry_id,
                )
            )


def note_lease(miss: pb.LookupResponse.Miss, lease: Lease, *, request_id: str) -> None:
    """Say in *miss* whether the turn *request_id* holds the lease, or until when another does."""
    if lease.holder == request_id:
        miss.lease_id = lease.lease_id
    else:
        miss.held_until_time.CopyFrom(timestamp_to(lease.expire_time))


def candidate_to(considered: Considered) -> pb.ExplainLookupResponse.Candidate:
    return pb.ExplainLookupResponse.Candidate(
        entry_id=considered.entry.entry_id,
        similarity=_share(considered.similarity),
        probability=considered.probability,
        refusal=considered.refusal,
        original_text=considered.original_text,
        features=considered.features,
    )


def counts_to(
    tenant_id: str, template: str, counts: Counts, *, entry_count: int
) -> pb.GetStatsResponse.PartitionStats:
    rate = counts.false_hit_rate
    return pb.GetStatsResponse.PartitionStats(
        tenant_id=tenant_id,
        template=template,
        lookup_count=counts.lookups,
        exact_hit_count=counts.exact_hits,
        semantic_hit_count=counts.semantic_hits,
        fallback_hit_count=counts.fallback_hits,
        miss_count=counts.misses,
        refusal_counts=counts.refusals,
        store_count=counts.stores,
        store_refusal_counts=counts.store_refusals,
        evicted_count=counts.evicted,
        saved_cost_nano_usd=counts.saved_cost_nano_usd,
        reported_right_count=counts.reported_right,
        reported_wrong_count=counts.reported_wrong,
        false_hit_rate=rate.estimate,
        false_hit_rate_low=rate.low,
        false_hit_rate_high=rate.high,
        miss_reason_counts=counts.miss_reasons,
        entry_count=entry_count,
    )


def timestamp_to(seconds: float) -> Timestamp:
    """Return *seconds* since the Unix epoch as a message."""
    return to_proto.timestamp(datetime.fromtimestamp(seconds, UTC))


def _hit_to(hit: Hit) -> pb.LookupResponse.Hit:
    return pb.LookupResponse.Hit(
        entry_id=hit.entry.entry_id,
        tier=_TIERS[hit.tier],
        similarity=_share(hit.similarity),
        probability=hit.probability,
        answer=answer_to(hit.entry.answer),
        create_time=timestamp_to(hit.entry.create_time),
        age=to_proto.duration(round(hit.age_seconds, 3)),
        original_text=hit.original_text,
    )


def _share(similarity: float) -> float:
    # Engines round: the cosine of a vector with itself may come out a hair above 1.
    return min(1.0, max(0.0, similarity))
