"""Turns messages of `parley.prompt_registry.v1` into values of the domain, and back."""

from collections.abc import Iterable

from parley.chat.v1 import message_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from parley_services.kit.chat import to_proto
from parley_services.prompt_registry.enum_messages import enum_from, enum_to, moment
from parley_services.prompt_registry.experiment_messages import experiment_from, experiment_to
from parley_services.prompt_registry.experiments.assignment import AssignmentKeys
from parley_services.prompt_registry.experiments.rollback_records import Rollback
from parley_services.prompt_registry.templates.catalogue import Changed, Whole
from parley_services.prompt_registry.templates.snapshot import (
    ByArm,
    ByLabel,
    ByVersion,
    Prompt,
    Selector,
    ShadowPrompt,
    TemplateSnapshot,
    TemplateState,
)
from parley_services.prompt_registry.templates.template import (
    CacheScope,
    ExtraCacheable,
    Label,
    LabelMove,
    ResponseFormat,
    ResponseFormatType,
    SamplingParameters,
    Template,
    TemplateContent,
    TemplateVersion,
    Variable,
)

_EXTRA_CACHEABLE: dict[int, ExtraCacheable] = {
    enum_to(pb.ExtraCacheable, "EXTRA_CACHEABLE", each): each for each in ExtraCacheable
}


def keys_from(message: pb.AssignmentKeys) -> AssignmentKeys:
    """Return what an assignment may depend on."""
    return AssignmentKeys(
        tenant_id=message.tenant_id,
        user_id=message.user_id,
        conversation_id=message.conversation_id,
    )


def selector_from(message: pb.RenderRequest) -> Selector:
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


def content_from(message: pb.TemplateContent) -> TemplateContent:
    """Return the content of a version."""
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
        parameters=_parameters_from(message.parameters),
        response_format=response_format_from(message.response_format),
        cache_scope=enum_from(
            CacheScope, pb.CacheScope, "CACHE_SCOPE", message.cache_scope, CacheScope.TENANT
        ),
        guardrail_policy=message.guardrail_policy,
        tools=tuple(message.tools),
        retrieval_collection=message.retrieval_collection,
        extra_cacheable=_cache_also_from(message.extra_cacheable),
    )


def content_to(content: TemplateContent) -> pb.TemplateContent:
    """Return the content of a version as a message."""
    return pb.TemplateContent(
        system_text=content.system_text,
        user_text=content.user_text,
        variables=[
            pb.Variable(
                name=each.name,
                json_schema=each.json_schema,
                required=each.required,
                default_value=each.default_value,
                max_token_count=each.max_token_count,
                description=each.description,
            )
            for each in content.variables
        ],
        model=content.model,
        parameters=_parameters_to(content.parameters),
        response_format=_response_format_to(content.response_format),
        cache_scope=enum_to(pb.CacheScope, "CACHE_SCOPE", content.cache_scope),
        guardrail_policy=content.guardrail_policy,
        tools=content.tools,
        retrieval_collection=content.retrieval_collection,
        extra_cacheable=_cache_also_to(content.extra_cacheable),
    )


def version_from(message: pb.TemplateVersion) -> TemplateVersion:
    """Return a version."""
    return TemplateVersion(
        template=message.template,
        version=message.version,
        content_sha256=message.content_sha256,
        content=content_from(message.content),
        author=message.author,
        note=message.note,
        create_time=moment(message.create_time),
    )


def version_to(version: TemplateVersion) -> pb.TemplateVersion:
    """Return a version as a message."""
    return pb.TemplateVersion(
        template=version.template,
        version=version.version,
        content_sha256=version.content_sha256,
        content=content_to(version.content),
        author=version.author,
        note=version.note,
        create_time=to_proto.timestamp(version.create_time),
    )


def label_to(label: Label) -> pb.Label:
    """Return a label as a message."""
    return pb.Label(
        name=label.name, version=label.version, etag=label.etag, protected=label.is_protected
    )


def move_to(move: LabelMove) -> pb.LabelMove:
    """Return a move of a label as a message."""
    return pb.LabelMove(
        label=move.label,
        from_version=move.from_version,
        to_version=move.to_version,
        author=move.author,
        note=move.note,
        create_time=to_proto.timestamp(move.create_time),
    )


def template_to(template: Template | TemplateState) -> pb.Template:
    """Return a template with its labels as a message."""
    return pb.Template(
        name=template.name,
        latest_version=template.latest_version,
        labels=[label_to(each) for each in template.labels],
    )


def prompt_to(prompt: Prompt, *, retains_texts: bool = False) -> pb.RenderResponse:
    """Return a rendered prompt as a message; *retains_texts*: whether its tenant wants that."""
    content = prompt.content
    return pb.RenderResponse(
        template=prompt.version.template,
        version=prompt.version.version,
        content_sha256=prompt.version.content_sha256,
        experiment_id=prompt.experiment_id,
        arm=prompt.arm,
        system_text=prompt.text.system_text,
        user_text=prompt.text.user_text,
        model=content.model,
        parameters=_parameters_to(content.parameters),
        response_format=_response_format_to(content.response_format),
        cache_scope=enum_to(pb.CacheScope, "CACHE_SCOPE", content.cache_scope),
        guardrail_policy=content.guardrail_policy,
        tools=content.tools,
        retrieval_collection=content.retrieval_collection,
        shadow_arms=[_shadow_to(each) for each in prompt.shadows],
        retains_texts=retains_texts,
        extra_cacheable=_cache_also_to(content.extra_cacheable),
    )


def rollback_to(rollback: Rollback) -> pb.Rollback:
    """Return a rollback as a message."""
    return pb.Rollback(
        template=rollback.template,
        experiment_id=rollback.experiment_id,
        from_version=rollback.from_version,
        to_version=rollback.to_version,
        reason=rollback.reason,
        measure=rollback.measure,
        observed=rollback.observed,
        bound=rollback.bound,
        automatic=rollback.is_automatic,
        create_time=to_proto.timestamp(rollback.create_time),
    )


def update_to(update: Whole | Changed) -> pb.WatchTemplatesResponse:
    """Return one update of a watch as a message."""
    match update:
        case Whole(revision=revision, templates=templates):
            return pb.WatchTemplatesResponse(
                revision=revision,
                snapshot=pb.WatchTemplatesResponse.Snapshot(templates=map(_state_to, templates)),
            )
        case Changed(revision=revision, template=template):
            return pb.WatchTemplatesResponse(revision=revision, template=_state_to(template))


def updated(snapshot: TemplateSnapshot, message: pb.WatchTemplatesResponse) -> TemplateSnapshot:
    """Return *snapshot* as it is after one *message* of a watch."""
    match message.WhichOneof("update"):
        case "snapshot":
            states = _states_from(message.snapshot.templates)
            return TemplateSnapshot(
                revision=message.revision, templates={each.name: each for each in states}
            )
        case "template":
            return snapshot.with_template(_state_from(message.template), revision=message.revision)
        case _:
            return snapshot


def _states_from(
    messages: Iterable[pb.WatchTemplatesResponse.TemplateState],
) -> list[TemplateState]:
    return [_state_from(each) for each in messages]


def _state_to(state: TemplateState) -> pb.WatchTemplatesResponse.TemplateState:
    return pb.WatchTemplatesResponse.TemplateState(
        template=template_to(state),
        versions=[version_to(each) for each in state.versions],
        experiments=[experiment_to(each) for each in state.experiments],
    )


def _state_from(message: pb.WatchTemplatesResponse.TemplateState) -> TemplateState:
    return TemplateState(
        name=message.template.name,
        latest_version=message.template.latest_version,
        labels=tuple(
            Label(
                name=each.name,
                version=each.version,
                etag=each.etag,
                is_protected=each.protected,
            )
            for each in message.template.labels
        ),
        versions=tuple(version_from(each) for each in message.versions),
        experiments=tuple(experiment_from(each) for each in message.experiments),
    )


def _shadow_to(shadow: ShadowPrompt) -> pb.RenderResponse.ShadowArm:
    content = shadow.content
    return pb.RenderResponse.ShadowArm(
        experiment_id=shadow.experiment_id,
        arm=shadow.arm,
        version=shadow.version,
        system_text=shadow.text.system_text,
        user_text=shadow.text.user_text,
        model=content.model,
        parameters=_parameters_to(content.parameters),
        response_format=_response_format_to(content.response_format),
        guardrail_policy=content.guardrail_policy,
        tools=content.tools,
        retrieval_collection=content.retrieval_collection,
    )


def _cache_also_from(numbers: Iterable[int]) -> tuple[ExtraCacheable, ...]:
    return tuple(_EXTRA_CACHEABLE[number] for number in numbers if number in _EXTRA_CACHEABLE)


def _cache_also_to(kinds: Iterable[ExtraCacheable]) -> list[pb.ExtraCacheable.ValueType]:
    return [enum_to(pb.ExtraCacheable, "EXTRA_CACHEABLE", each) for each in kinds]


def _parameters_from(message: message_pb2.SamplingParameters) -> SamplingParameters:
    return SamplingParameters(
        temperature=message.temperature if message.HasField("temperature") else None,
        top_p=message.top_p if message.HasField("top_p") else None,
        max_output_token_count=(
            message.max_output_token_count if message.HasField("max_output_token_count") else None
        ),
        stop_sequences=tuple(message.stop_sequences),
        seed=message.seed if message.HasField("seed") else None,
    )


def _parameters_to(parameters: SamplingParameters) -> message_pb2.SamplingParameters:
    return message_pb2.SamplingParameters(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_output_token_count=parameters.max_output_token_count,
        stop_sequences=parameters.stop_sequences,
        seed=parameters.seed,
    )


def response_format_from(message: message_pb2.ResponseFormat) -> ResponseFormat:
    """Return the form of an answer."""
    return ResponseFormat(
        type=enum_from(
            ResponseFormatType,
            message_pb2.ResponseFormatType,
            "RESPONSE_FORMAT_TYPE",
            message.type,
            ResponseFormatType.TEXT,
        ),
        json_schema=message.json_schema,
    )


def _response_format_to(response_format: ResponseFormat) -> message_pb2.ResponseFormat:
    return message_pb2.ResponseFormat(
        type=enum_to(message_pb2.ResponseFormatType, "RESPONSE_FORMAT_TYPE", response_format.type),
        json_schema=response_format.json_schema,
    )
