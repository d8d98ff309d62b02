"""Turns the domain's values into messages of `parley.semantic_cache.v1`."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from parley.chat.v1 import answer_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb

from parley_services.kit.chat import to_proto
from parley_services.semantic_cache.entry import Answer
from parley_services.semantic_cache.outcome import CandidateVerdict, Explanation, Hit, Miss
from parley_services.semantic_cache.statistics import Counts, Key


def lookup_response(outcome: Hit | Miss) -> pb.LookupResponse:
    """Return the outcome of a lookup as a message."""
    match outcome:
        case Hit():
            return pb.LookupResponse(hit=_hit(outcome))
        case Miss():
            return pb.LookupResponse(
                miss=pb.LookupResponse.Miss(
                    reason=pb.MissReason.ValueType(outcome.reason),
                    best_similarity=_share(outcome.best_similarity),
                    refusal=outcome.refusal,
                    explored_entry_id=outcome.explored_entry_id,
                )
            )


def explanation(value: Explanation) -> pb.ExplainLookupResponse:
    """Return what a lookup would answer, and its candidates, as a message."""
    return pb.ExplainLookupResponse(
        outcome=lookup_response(value.outcome),
        candidates=[_candidate(each) for each in value.candidates],
    )


def partition_stats(
    key: Key, counts: Counts, *, entry_count: int
) -> pb.GetStatsResponse.PartitionStats:
    """Return the counts of one template of a tenant as a message."""
    tenant_id, template = key
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


def timestamp(seconds: float) -> Timestamp:
    """Return *seconds* since the Unix epoch as a message."""
    return to_proto.timestamp(datetime.fromtimestamp(seconds, UTC))


def _hit(hit: Hit) -> pb.LookupResponse.Hit:
    return pb.LookupResponse.Hit(
        entry_id=hit.entry.entry_id,
        tier=pb.Tier.ValueType(hit.tier),
        similarity=_share(hit.similarity),
        probability=hit.probability,
        answer=_answer(hit.entry.answer),
        create_time=timestamp(hit.entry.create_time),
        age=to_proto.duration(round(hit.age_seconds, 3)),
        original_text=hit.original_text,
    )


def _answer(answer: Answer) -> pb.Answer:
    return pb.Answer(
        text=answer.text,
        # No other answer is ever kept.
        finish_reason=answer_pb2.FINISH_REASON_STOP,
        provider=answer.provider,
        model=answer.model,
        usage=to_proto.usage(answer.usage),
        cost_nano_usd=answer.cost_nano_usd,
    )


def _candidate(verdict: CandidateVerdict) -> pb.ExplainLookupResponse.Candidate:
    return pb.ExplainLookupResponse.Candidate(
        entry_id=verdict.entry.entry_id,
        similarity=_share(verdict.similarity),
        probability=verdict.probability,
        refusal=verdict.refusal,
        original_text=verdict.original_text,
        features=verdict.features,
    )


def _share(similarity: float) -> float:
    # Engines round: the cosine of a vector with itself may come out a hair above 1.
    return min(1.0, max(0.0, similarity))
