"""Turns messages about outcomes into values of the domain, and back."""

from parley.chat.v1 import chat_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from services.kit.messages import duration, seconds_of, timestamp, usage_from, usage_to
from services.prompt_registry.messages import (
    enum_from,
    enum_to,
    moment,
)
from services.prompt_registry.outcome import (
    AnswerSource,
    Evaluation,
    FinishReason,
    Outcome,
    Tally,
    TallyKey,
)


def outcome_from(message: pb.Outcome) -> Outcome:
    """Return how a turn ended."""
    return Outcome(
        request_id=message.request_id,
        tenant_id=message.tenant_id,
        user_id=message.user_id,
        template=message.template,
        version=message.version,
        experiment_id=message.experiment_id,
        arm=message.arm,
        is_shadow=message.is_shadow,
        model=message.model,
        finish_reason=enum_from(
            FinishReason,
            chat_pb2.FinishReason,
            "FINISH_REASON",
            message.finish_reason,
            FinishReason.UNSPECIFIED,
        ),
        error_reason=message.error_reason,
        guardrail_blocked=message.guardrail_blocked,
        format_failed=message.format_failed,
        source=enum_from(
            AnswerSource,
            chat_pb2.AnswerSource,
            "ANSWER_SOURCE",
            message.source,
            AnswerSource.UNSPECIFIED,
        ),
        usage=usage_from(message.usage),
        cost_nano_usd=message.cost_nano_usd,
        latency_seconds=seconds_of(message.latency),
        first_delta_seconds=(
            seconds_of(message.first_delta_latency)
            if message.HasField("first_delta_latency")
            else None
        ),
        end_time=moment(message.end_time),
    )


def outcome_to(outcome: Outcome) -> pb.Outcome:
    """Return how a turn ended, as a message."""
    first = outcome.first_delta_seconds
    return pb.Outcome(
        request_id=outcome.request_id,
        tenant_id=outcome.tenant_id,
        user_id=outcome.user_id,
        template=outcome.template,
        version=outcome.version,
        experiment_id=outcome.experiment_id,
        arm=outcome.arm,
        is_shadow=outcome.is_shadow,
        model=outcome.model,
        finish_reason=enum_to(chat_pb2.FinishReason, "FINISH_REASON", outcome.finish_reason),
        error_reason=outcome.error_reason,
        guardrail_blocked=outcome.guardrail_blocked,
        format_failed=outcome.format_failed,
        source=enum_to(chat_pb2.AnswerSource, "ANSWER_SOURCE", outcome.source),
        usage=usage_to(outcome.usage),
        cost_nano_usd=outcome.cost_nano_usd,
        latency=duration(outcome.latency_seconds),
        first_delta_latency=None if first is None else duration(first),
        end_time=timestamp(outcome.end_time),
    )


def evaluation_to(evaluation: Evaluation) -> pb.Evaluation:
    """Return one turn of the evaluation log as a message."""
    return pb.Evaluation(outcome=outcome_to(evaluation.outcome), stars=evaluation.stars)


def summary_to(key: TallyKey, tally: Tally) -> pb.OutcomeSummary:
    """Return the counts of one version in one arm as a message."""
    summary = pb.OutcomeSummary(
        version=key.version,
        experiment_id=key.experiment_id,
        arm=key.arm,
        request_count=tally.request_count,
        error_counts=dict(tally.error_counts),
        guardrail_block_count=tally.guardrail_block_count,
        format_failure_count=tally.format_failure_count,
        cache_hit_count=tally.cache_hit_count,
        usage=usage_to(tally.usage),
        cost_nano_usd=tally.cost_nano_usd,
        rating_count=tally.rating_count,
        mean_stars=tally.mean_stars,
    )
    for field, sketch, share in (
        ("latency_p50", tally.latency, 0.50),
        ("latency_p95", tally.latency, 0.95),
        ("latency_p99", tally.latency, 0.99),
        ("first_delta_latency_p50", tally.first_delta_latency, 0.50),
    ):
        value = sketch.quantile(share)
        if value is not None:
            getattr(summary, field).CopyFrom(duration(value))
    return summary
