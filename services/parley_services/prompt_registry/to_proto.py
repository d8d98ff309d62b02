"""
Turns values of the domain into messages of `parley.prompt_registry.v1`, one function a noun.

Import the module, not the functions: `to_proto.experiment(...)`. `from_proto` is the way back.
"""

from collections.abc import Iterable

from parley.chat.v1 import answer_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from parley_services.kit.chat import to_proto as chat
from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.prompt_registry.experiments.experiment import Experiment
from parley_services.prompt_registry.experiments.rollback_records import Rollback
from parley_services.prompt_registry.experiments.shadow import ShadowComparison, ShadowTally
from parley_services.prompt_registry.outcomes.outcome import (
    Evaluation,
    Outcome,
    Tally,
    TallyKey,
    TurnTexts,
)
from parley_services.prompt_registry.templates.catalogue import SnapshotUpdate, TemplateUpdate
from parley_services.prompt_registry.templates.snapshot import Prompt, ShadowPrompt, TemplateState
from parley_services.prompt_registry.templates.template import (
    Label,
    LabelMove,
    Template,
    TemplateContent,
    TemplateVersion,
)


def content(value: TemplateContent) -> pb.TemplateContent:
    """Return the content of a version as a message."""
    return pb.TemplateContent(
        system_text=value.system_text,
        user_text=value.user_text,
        variables=[
            pb.Variable(
                name=each.name,
                json_schema=each.json_schema,
                required=each.required,
                default_value=each.default_value,
                max_token_count=each.max_token_count,
                description=each.description,
            )
            for each in value.variables
        ],
        model=value.model,
        parameters=chat.sampling_parameters(value.parameters),
        response_format=chat.response_format(value.response_format),
        cache_scope=_cache_scope(value.cache_scope),
        guardrail_policy=value.guardrail_policy,
        tools=value.tools,
        retrieval_collection=value.retrieval_collection,
        extra_cacheable=_extra_cacheable(value.extra_cacheable),
    )


def version(value: TemplateVersion) -> pb.TemplateVersion:
    """Return a version as a message."""
    return pb.TemplateVersion(
        template=value.template,
        version=value.version,
        content_sha256=value.content_sha256,
        content=content(value.content),
        author=value.author,
        note=value.note,
        create_time=chat.timestamp(value.create_time),
    )


def label(value: Label) -> pb.Label:
    """Return a label as a message."""
    return pb.Label(
        name=value.name, version=value.version, etag=value.etag, protected=value.is_protected
    )


def label_move(value: LabelMove) -> pb.LabelMove:
    """Return a move of a label as a message."""
    return pb.LabelMove(
        label=value.label,
        from_version=value.from_version,
        to_version=value.to_version,
        author=value.author,
        note=value.note,
        create_time=chat.timestamp(value.create_time),
    )


def template(value: Template | TemplateState) -> pb.Template:
    """Return a template with its labels as a message."""
    return pb.Template(
        name=value.name,
        latest_version=value.latest_version,
        labels=map(label, value.labels),
    )


def prompt(value: Prompt, *, retains_texts: bool = False) -> pb.RenderResponse:
    """Return a rendered prompt as a message; *retains_texts*: whether its tenant wants that."""
    rendered = value.content
    return pb.RenderResponse(
        template=value.version.template,
        version=value.version.version,
        content_sha256=value.version.content_sha256,
        experiment_id=value.experiment_id,
        arm=value.arm,
        system_text=value.text.system_text,
        user_text=value.text.user_text,
        model=rendered.model,
        parameters=chat.sampling_parameters(rendered.parameters),
        response_format=chat.response_format(rendered.response_format),
        cache_scope=_cache_scope(rendered.cache_scope),
        guardrail_policy=rendered.guardrail_policy,
        tools=rendered.tools,
        retrieval_collection=rendered.retrieval_collection,
        shadow_arms=map(_shadow_arm, value.shadows),
        retains_texts=retains_texts,
        extra_cacheable=_extra_cacheable(rendered.extra_cacheable),
    )


def experiment(value: Experiment) -> pb.Experiment:
    """Return an experiment as a message."""
    guard = value.guard
    return pb.Experiment(
        experiment_id=value.experiment_id,
        template=value.template,
        arms=[
            pb.Arm(name=each.name, version=each.version, weight=each.weight) for each in value.arms
        ],
        coverage=value.coverage,
        assignment_unit=pb.AssignmentUnit.ValueType(value.assignment_unit),
        seed=value.seed,
        state=pb.ExperimentState.ValueType(value.state),
        mode=pb.ExperimentMode.ValueType(value.mode),
        ramp_steps=[
            pb.Experiment.RampStep(
                coverage=each.coverage,
                min_duration=chat.duration(each.min_duration_seconds),
                min_request_count=each.min_request_count,
            )
            for each in value.ramp_steps
        ],
        ramp_step_index=value.ramp_step_index,
        namespace=value.namespace,
        namespace_start=value.namespace_start,
        namespace_end=value.namespace_end,
        sticky=value.is_sticky,
        etag=value.etag,
        create_time=chat.timestamp(value.create_time),
        guard=pb.Experiment.Guard(
            max_error_ratio=guard.max_error_ratio,
            alpha=guard.alpha,
            max_latency=chat.optional_duration(guard.max_latency_seconds),
            max_cost_ratio=guard.max_cost_ratio,
            min_request_count=guard.min_request_count,
        ),
    )


def rollback(value: Rollback) -> pb.Rollback:
    """Return a rollback as a message."""
    return pb.Rollback(
        template=value.template,
        experiment_id=value.experiment_id,
        from_version=value.from_version,
        to_version=value.to_version,
        reason=value.reason,
        measure=value.measure,
        observed=value.observed,
        bound=value.bound,
        automatic=value.is_automatic,
        create_time=chat.timestamp(value.create_time),
    )


def update(value: SnapshotUpdate | TemplateUpdate) -> pb.WatchTemplatesResponse:
    """Return one update of a watch as a message."""
    match value:
        case SnapshotUpdate(revision=revision, templates=templates):
            return pb.WatchTemplatesResponse(
                revision=revision,
                snapshot=pb.WatchTemplatesResponse.Snapshot(
                    templates=map(_template_state, templates)
                ),
            )
        case TemplateUpdate(revision=revision, template=state):
            return pb.WatchTemplatesResponse(revision=revision, template=_template_state(state))


def outcome(value: Outcome) -> pb.Outcome:
    """Return how a turn ended, as a message."""
    return pb.Outcome(
        request_id=value.request_id,
        tenant_id=value.tenant_id,
        user_id=value.user_id,
        template=value.template,
        version=value.version,
        experiment_id=value.experiment_id,
        arm=value.arm,
        shadow=value.is_shadow,
        model=value.model,
        finish_reason=answer_pb2.FinishReason.ValueType(value.finish_reason),
        error_reason=value.error_reason,
        guardrail_blocked=value.guardrail_blocked,
        format_failed=value.format_failed,
        source=answer_pb2.AnswerSource.ValueType(value.source),
        usage=chat.usage(value.usage),
        cost_nano_usd=value.cost_nano_usd,
        latency=chat.duration(value.latency_seconds),
        first_delta_latency=chat.optional_duration(value.first_delta_seconds),
        end_time=chat.timestamp(value.end_time),
    )


def evaluation(value: Evaluation) -> pb.Evaluation:
    """Return one turn of the evaluation log as a message."""
    compared = value.outcome.comparison
    return pb.Evaluation(
        outcome=outcome(value.outcome),
        stars=value.stars,
        comment=value.comment,
        comparison=None if compared is None else comparison(compared),
        texts=None if value.texts is None else _turn_texts(value.texts),
    )


def comparison(value: ShadowComparison) -> pb.ShadowComparison:
    """Return how two answers compare as a message."""
    return pb.ShadowComparison(
        length_ratio=value.length_ratio,
        similarity=value.similarity,
        answer_format_valid=value.answer_format_valid,
        shadow_format_valid=value.shadow_format_valid,
        answer_latency=chat.duration(value.answer_latency_seconds),
        answer_cost_nano_usd=value.answer_cost_nano_usd,
    )


def outcome_summary(key: TallyKey, tally: Tally) -> pb.OutcomeSummary:
    """Return the counts of one version in one arm as a message."""
    times, first = tally.latency, tally.first_delta_latency
    return pb.OutcomeSummary(
        version=key.version,
        experiment_id=key.experiment_id,
        arm=key.arm,
        request_count=tally.request_count,
        error_counts=tally.error_counts,
        guardrail_block_count=tally.guardrail_block_count,
        format_failure_count=tally.format_failure_count,
        cache_hit_count=tally.cache_hit_count,
        usage=chat.usage(tally.usage),
        cost_nano_usd=tally.cost_nano_usd,
        latency_p50=chat.optional_duration(times.quantile(0.50)),
        latency_p95=chat.optional_duration(times.quantile(0.95)),
        latency_p99=chat.optional_duration(times.quantile(0.99)),
        first_delta_latency_p50=chat.optional_duration(first.quantile(0.50)),
        first_delta_latency_p95=chat.optional_duration(first.quantile(0.95)),
        first_delta_latency_p99=chat.optional_duration(first.quantile(0.99)),
        rating_count=tally.rating_count,
        mean_stars=tally.mean_stars,
        shadow=_shadow_summary(tally.shadow) if tally.shadow.pair_count else None,
    )


def _cache_scope(value: CacheScope) -> pb.CacheScope.ValueType:
    return pb.CacheScope.ValueType(value)


def _extra_cacheable(values: Iterable[ExtraCacheable]) -> list[pb.ExtraCacheable.ValueType]:
    return [pb.ExtraCacheable.ValueType(each) for each in values]


def _shadow_arm(value: ShadowPrompt) -> pb.RenderResponse.ShadowArm:
    rendered = value.content
    return pb.RenderResponse.ShadowArm(
        experiment_id=value.experiment_id,
        arm=value.arm,
        version=value.version,
        system_text=value.text.system_text,
        user_text=value.text.user_text,
        model=rendered.model,
        parameters=chat.sampling_parameters(rendered.parameters),
        response_format=chat.response_format(rendered.response_format),
        guardrail_policy=rendered.guardrail_policy,
        tools=rendered.tools,
        retrieval_collection=rendered.retrieval_collection,
    )


def _template_state(value: TemplateState) -> pb.WatchTemplatesResponse.TemplateState:
    return pb.WatchTemplatesResponse.TemplateState(
        template=template(value),
        versions=map(version, value.versions),
        experiments=map(experiment, value.experiments),
    )


def _turn_texts(value: TurnTexts) -> pb.TurnTexts:
    return pb.TurnTexts(input_text=value.input_text, output_text=value.output_text)


def _shadow_summary(value: ShadowTally) -> pb.ShadowSummary:
    pairs = value.pair_count
    return pb.ShadowSummary(
        pair_count=pairs,
        mean_similarity=value.mean_similarity,
        mean_length_ratio=value.mean_length_ratio,
        answer_format_failure_count=value.answer_format_failure_count,
        shadow_format_failure_count=value.shadow_format_failure_count,
        mean_answer_latency=chat.duration(value.answer_latency_us / pairs / 1e6),
        mean_shadow_latency=chat.duration(value.shadow_latency_us / pairs / 1e6),
        answer_cost_nano_usd=value.answer_cost_nano_usd,
        shadow_cost_nano_usd=value.shadow_cost_nano_usd,
    )
