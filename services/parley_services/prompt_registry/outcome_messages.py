"""Turns messages about outcomes into values of the domain, and back."""

from dataclasses import replace

from parley.chat.v1 import answer_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from parley_services.kit.chat import from_proto, to_proto
from parley_services.prompt_registry.enum_messages import enum_from, enum_to, moment
from parley_services.prompt_registry.experiments.shadow import (
    GivenAnswer,
    ShadowComparison,
    ShadowTally,
)
from parley_services.prompt_registry.outcomes.outcome import (
    AnswerSource,
    Evaluation,
    FinishReason,
    Outcome,
    Tally,
    TallyKey,
    TurnTexts,
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
        is_shadow=message.shadow,
        model=message.model,
        finish_reason=enum_from(
            FinishReason,
            answer_pb2.FinishReason,
            "FINISH_REASON",
            message.finish_reason,
            FinishReason.UNSPECIFIED,
        ),
        error_reason=message.error_reason,
        guardrail_blocked=message.guardrail_blocked,
        format_failed=message.format_failed,
        source=enum_from(
            AnswerSource,
            answer_pb2.AnswerSource,
            "ANSWER_SOURCE",
            message.source,
            AnswerSource.UNSPECIFIED,
        ),
        usage=from_proto.usage(message.usage),
        cost_nano_usd=message.cost_nano_usd,
        latency_seconds=from_proto.seconds(message.latency),
        first_delta_seconds=(
            from_proto.seconds(message.first_delta_latency)
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
        shadow=outcome.is_shadow,
        model=outcome.model,
        finish_reason=enum_to(answer_pb2.FinishReason, "FINISH_REASON", outcome.finish_reason),
        error_reason=outcome.error_reason,
        guardrail_blocked=outcome.guardrail_blocked,
        format_failed=outcome.format_failed,
        source=enum_to(answer_pb2.AnswerSource, "ANSWER_SOURCE", outcome.source),
        usage=to_proto.usage(outcome.usage),
        cost_nano_usd=outcome.cost_nano_usd,
        latency=to_proto.duration(outcome.latency_seconds),
        first_delta_latency=None if first is None else to_proto.duration(first),
        end_time=to_proto.timestamp(outcome.end_time),
    )


def evaluation_to(evaluation: Evaluation) -> pb.Evaluation:
    """Return one turn of the evaluation log as a message."""
    compared, texts = evaluation.outcome.comparison, evaluation.texts
    return pb.Evaluation(
        outcome=outcome_to(evaluation.outcome),
        stars=evaluation.stars,
        comment=evaluation.comment,
        comparison=None if compared is None else comparison_to(compared),
        texts=(
            None
            if texts is None
            else pb.TurnTexts(input_text=texts.input_text, output_text=texts.output_text)
        ),
    )


def evaluation_from(message: pb.Evaluation) -> Evaluation:
    """Return one turn of the evaluation log."""
    outcome = outcome_from(message.outcome)
    if message.HasField("comparison"):
        outcome = replace(outcome, comparison=_comparison_from(message.comparison))
    return Evaluation(
        outcome=outcome,
        stars=message.stars,
        comment=message.comment,
        texts=texts_from(message.texts) if message.HasField("texts") else None,
    )


def texts_from(message: pb.TurnTexts) -> TurnTexts:
    """Return what was said in a turn."""
    return TurnTexts(input_text=message.input_text, output_text=message.output_text)


def answer_from(message: pb.ReportShadowRequest.Answer) -> GivenAnswer:
    """Return the answer that the user got."""
    return GivenAnswer(
        version=message.version,
        text=message.text,
        latency_seconds=from_proto.seconds(message.latency),
        cost_nano_usd=message.cost_nano_usd,
    )


def comparison_to(comparison: ShadowComparison) -> pb.ShadowComparison:
    """Return how two answers compare as a message."""
    return pb.ShadowComparison(
        length_ratio=comparison.length_ratio,
        similarity=comparison.similarity,
        answer_format_valid=comparison.answer_format_valid,
        shadow_format_valid=comparison.shadow_format_valid,
        answer_latency=to_proto.duration(comparison.answer_latency_seconds),
        answer_cost_nano_usd=comparison.answer_cost_nano_usd,
    )


def _comparison_from(message: pb.ShadowComparison) -> ShadowComparison:
    return ShadowComparison(
        length_ratio=message.length_ratio,
        similarity=message.similarity,
        answer_format_valid=message.answer_format_valid,
        shadow_format_valid=message.shadow_format_valid,
        answer_latency_seconds=from_proto.seconds(message.answer_latency),
        answer_cost_nano_usd=message.answer_cost_nano_usd,
    )


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
        usage=to_proto.usage(tally.usage),
        cost_nano_usd=tally.cost_nano_usd,
        rating_count=tally.rating_count,
        mean_stars=tally.mean_stars,
    )
    for field, sketch, share in (
        ("latency_p50", tally.latency, 0.50),
        ("latency_p95", tally.latency, 0.95),
        ("latency_p99", tally.latency, 0.99),
        ("first_delta_latency_p50", tally.first_delta_latency, 0.50),
        ("first_delta_latency_p95", tally.first_delta_latency, 0.95),
        ("first_delta_latency_p99", tally.first_delta_latency, 0.99),
    ):
        value = sketch.quantile(share)
        if value is not None:
            getattr(summary, field).CopyFrom(to_proto.duration(value))
    if tally.shadow.pair_count:
        summary.shadow.CopyFrom(_shadow_to(tally.shadow))
    return summary


def _shadow_to(tally: ShadowTally) -> pb.ShadowSummary:
    pairs = tally.pair_count
    return pb.ShadowSummary(
        pair_count=pairs,
        mean_similarity=tally.mean_similarity,
        mean_length_ratio=tally.mean_length_ratio,
        answer_format_failure_count=tally.answer_format_failure_count,
        shadow_format_failure_count=tally.shadow_format_failure_count,
        mean_answer_latency=to_proto.duration(tally.answer_latency_us / pairs / 1e6),
        mean_shadow_latency=to_proto.duration(tally.shadow_latency_us / pairs / 1e6),
        answer_cost_nano_usd=tally.answer_cost_nano_usd,
        shadow_cost_nano_usd=tally.shadow_cost_nano_usd,
    )
