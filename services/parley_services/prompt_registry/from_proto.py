"""
Turns messages of `parley.prompt_registry.v1` into values of the domain, one function a noun.

Import the module, not the functions: `from_proto.experiment(...)`. `to_proto` is the way back.
"""

from dataclasses import replace

from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from parley_services.kit.chat import from_proto as chat
from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType
from parley_services.prompt_registry.experiments.assignment import AssignmentKeys
from parley_services.prompt_registry.experiments.experiment import (
    NEVER,
    Arm,
    AssignmentUnit,
    Experiment,
    ExperimentMode,
    ExperimentState,
    Guard,
    RampStep,
)
from parley_services.prompt_registry.experiments.shadow import GivenAnswer, ShadowComparison
from parley_services.prompt_registry.outcomes.outcome import Evaluation, Outcome, TurnTexts
from parley_services.prompt_registry.stores.store import EvaluationFilter
from parley_services.prompt_registry.templates.snapshot import (
    ByArm,
    ByLabel,
    ByVersion,
    Selector,
    TemplateSnapshot,
    TemplateState,
)
from parley_services.prompt_registry.templates.template import (
    Label,
    TemplateContent,
    TemplateVersion,
    Variable,
)


def assignment_keys(message: pb.AssignmentKeys) -> AssignmentKeys:
    """Return what an assignment may depend on."""
    return AssignmentKeys(
        tenant_id=message.tenant_id,
        user_id=message.user_id,
        conversation_id=message.conversation_id,
    )


def selector(message: pb.RenderRequest) -> Selector:
    """Return which version a render asks for."""
    match message.WhichOneof("selector"):
        case "label":
            return ByLabel(label=message.label)
        case "version":
            return ByVersion(version=message.version)
        case "arm":
            return ByArm(arm=message.arm)
        case _:
            return None


def version_selector(message: pb.GetTemplateVersionRequest) -> ByLabel | ByVersion | None:
    """Return which version is asked for; None: that of label `production`."""
    match message.WhichOneof("selector"):
        case "label":
            return ByLabel(label=message.label)
        case "version":
            return ByVersion(version=message.version)
        case _:
            return None


def content(message: pb.TemplateContent) -> TemplateContent:
    """Return the content of a version; what is unspecified is what it stands for."""
    response_format = message.response_format
    return TemplateContent(
        system_text=message.system_text,
        user_text=message.user_text,
        variables=tuple(
            Variable(
                name=each.name,
                json_schema=each.json_schema,
                required=each.required,
                default_value=each.default_value,
                max_token_count=each.max_token_count,
                description=each.description,
            )
            for each in message.variables
        ),
        model=message.model,
        parameters=chat.sampling_parameters(message.parameters),
        response_format=ResponseFormat(
            type=ResponseFormatType(response_format.type) or ResponseFormatType.TEXT,
            json_schema=response_format.json_schema,
        ),
        cache_scope=CacheScope(message.cache_scope) or CacheScope.TENANT,
        guardrail_policy=message.guardrail_policy,
        tools=tuple(message.tools),
        retrieval_collection=message.retrieval_collection,
        extra_cacheable=tuple(filter(None, map(ExtraCacheable, message.extra_cacheable))),
    )


def version(message: pb.TemplateVersion) -> TemplateVersion:
    """Return a version."""
    return TemplateVersion(
        template=message.template,
        version=message.version,
        content_sha256=message.content_sha256,
        content=content(message.content),
        author=message.author,
        note=message.note,
        create_time=chat.time(message.create_time),
    )


def experiment(message: pb.Experiment) -> Experiment:
    """Return an experiment. Bounds of 0 are the defaults; what the registry sets is not read."""
    return Experiment(
        experiment_id=message.experiment_id,
        template=message.template,
        arms=tuple(
            Arm(name=each.name, version=each.version, weight=each.weight) for each in message.arms
        ),
        coverage=message.coverage,
        assignment_unit=AssignmentUnit(message.assignment_unit) or AssignmentUnit.USER,
        seed=message.seed,
        state=ExperimentState(message.state) or ExperimentState.DRAFT,
        mode=ExperimentMode(message.mode) or ExperimentMode.SPLIT,
        ramp_steps=tuple(
            RampStep(
                coverage=each.coverage,
                min_duration_seconds=chat.seconds(each.min_duration),
                min_request_count=each.min_request_count,
            )
            for each in message.ramp_steps
        ),
        ramp_step_index=message.ramp_step_index,
        namespace=message.namespace,
        namespace_start=message.namespace_start,
        namespace_end=message.namespace_end,
        is_sticky=message.sticky,
        guard=_guard(message.guard),
        etag=message.etag,
        create_time=chat.optional_time(message, "create_time") or NEVER,
    )


def snapshot(before: TemplateSnapshot, message: pb.WatchTemplatesResponse) -> TemplateSnapshot:
    """Return the snapshot *before* as it is after one *message* of a watch."""
    match message.WhichOneof("update"):
        case "snapshot":
            states = map(_template_state, message.snapshot.templates)
            return TemplateSnapshot(
                revision=message.revision, templates={each.name: each for each in states}
            )
        case "template":
            return before.with_template(
                _template_state(message.template), revision=message.revision
            )
        case _:
            return before


def outcome(message: pb.Outcome) -> Outcome:
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
        finish_reason=FinishReason(message.finish_reason),
        error_reason=message.error_reason,
        guardrail_blocked=message.guardrail_blocked,
        format_failed=message.format_failed,
        source=AnswerSource(message.source),
        usage=chat.usage(message.usage),
        cost_nano_usd=message.cost_nano_usd,
        latency_seconds=chat.seconds(message.latency),
        first_delta_seconds=chat.optional_seconds(message, "first_delta_latency"),
        end_time=chat.optional_time(message, "end_time") or NEVER,
    )


def evaluation(message: pb.Evaluation) -> Evaluation:
    """Return one turn of the evaluation log."""
    found = outcome(message.outcome)
    if message.HasField("comparison"):
        found = replace(found, comparison=_comparison(message.comparison))
    return Evaluation(
        outcome=found,
        stars=message.stars,
        comment=message.comment,
        texts=turn_texts(message.texts) if message.HasField("texts") else None,
    )


def evaluation_filter(message: pb.ListEvaluationsRequest) -> EvaluationFilter:
    """Return which turns of the evaluation log are asked for."""
    return EvaluationFilter(
        template=message.template,
        tenant_id=message.tenant_id,
        start_time=chat.optional_time(message, "start_time"),
        end_time=chat.optional_time(message, "end_time"),
        include_texts=message.include_texts,
    )


def turn_texts(message: pb.TurnTexts) -> TurnTexts:
    """Return what was said in a turn."""
    return TurnTexts(input_text=message.input_text, output_text=message.output_text)


def given_answer(message: pb.ReportShadowRequest.Answer) -> GivenAnswer:
    """Return the answer that the user got."""
    return GivenAnswer(
        version=message.version,
        text=message.text,
        latency_seconds=chat.seconds(message.latency),
        cost_nano_usd=message.cost_nano_usd,
    )


def _guard(message: pb.Experiment.Guard) -> Guard:
    defaults = Guard()
    return Guard(
        max_error_ratio=message.max_error_ratio or defaults.max_error_ratio,
        alpha=message.alpha or defaults.alpha,
        max_latency_seconds=chat.optional_seconds(message, "max_latency"),
        max_cost_ratio=message.max_cost_ratio,
        min_request_count=message.min_request_count or defaults.min_request_count,
    )


def _template_state(message: pb.WatchTemplatesResponse.TemplateState) -> TemplateState:
    template = message.template
    return TemplateState(
        name=template.name,
        latest_version=template.latest_version,
        labels=tuple(
            Label(name=each.name, version=each.version, etag=each.etag, is_protected=each.protected)
            for each in template.labels
        ),
        versions=tuple(map(version, message.versions)),
        experiments=tuple(map(experiment, message.experiments)),
    )


def _comparison(message: pb.ShadowComparison) -> ShadowComparison:
    return ShadowComparison(
        length_ratio=message.length_ratio,
        similarity=message.similarity,
        answer_format_valid=message.answer_format_valid,
        shadow_format_valid=message.shadow_format_valid,
        answer_latency_seconds=chat.seconds(message.answer_latency),
        answer_cost_nano_usd=message.answer_cost_nano_usd,
    )
