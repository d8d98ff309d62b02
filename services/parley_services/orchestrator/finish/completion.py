"""What a turn asks of a model, and the last event that says what it took."""

from dataclasses import replace

from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.attempt import total_usage
from parley_services.kit.chat.message import Message, Role
from parley_services.orchestrator.admission.admission import AdmittedTurn
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.events import Completed
from parley_services.orchestrator.generate.generation import Plan
from parley_services.orchestrator.generate.shared_generation import Generated
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.cache import Hit
from parley_services.orchestrator.values.guardrails import OutputContext
from parley_services.orchestrator.values.prompts import Prompt
from parley_services.orchestrator.values.router import ModelCall


def plan(
    admitted: AdmittedTurn, prompt: Prompt, *, model: str, deadline: Deadline, trace: Trace
) -> Plan:
    """Return how *model* is to answer the turn."""
    turn = admitted.request
    return Plan(
        call=ModelCall(
            request_id=turn.request_id,
            subject=admitted.subject,
            model=model,
            system_text=prompt.system_text,
            messages=(*turn.history, Message(role=Role.USER, text=prompt.user_text)),
            parameters=prompt.parameters,
            response_format=prompt.response_format,
            tools=turn.tools,
            tool_choice=turn.tool_choice,
            mid_stream_policy=turn.mid_stream_policy,
        ),
        input_token_count=admitted.input_token_count,
        output=output_context(admitted, prompt),
        deadline=deadline,
        recorder=admitted.handle,
        trace=trace,
    )


def output_context(admitted: AdmittedTurn, prompt: Prompt) -> OutputContext:
    """Return what the check of the turn's answer needs to know."""
    return OutputContext(
        request_id=admitted.request.request_id,
        tenant_id=admitted.subject.tenant_id,
        template=prompt.template,
        system_text=prompt.system_text,
        placeholders=admitted.placeholders,
        response_format=prompt.response_format,
        user_texts=(admitted.request.text,),
    )


def completed_by_cache(hit: Hit, admitted: AdmittedTurn, prompt: Prompt, trace: Trace) -> Completed:
    """Return the last event of a turn that got an earlier answer."""
    completed = _completed(
        admitted,
        prompt,
        trace,
        finish_reason=FinishReason.STOP,
        source=hit.source,
        provider=hit.answer.provider,
        model=hit.answer.model,
    )
    return replace(
        completed,
        saved_cost_nano_usd=hit.answer.cost_nano_usd,
        cache_similarity=hit.similarity,
        cache_age_seconds=hit.age_seconds,
        cache_entry_id=hit.entry_id,
    )


def completed_by_model(
    generated: Generated, admitted: AdmittedTurn, prompt: Prompt, trace: Trace, *, joined: bool
) -> Completed:
    """Return the last event of a turn that got a new answer, its own or one that it *joined*."""
    attempts = () if joined else generated.attempts
    completed = _completed(
        admitted,
        prompt,
        trace,
        finish_reason=generated.finish_reason,
        source=AnswerSource.COALESCED if joined else AnswerSource.MODEL,
        provider=generated.provider,
        model=generated.model,
    )
    return replace(
        completed,
        usage=total_usage(attempts),
        cost_nano_usd=sum(attempt.cost_nano_usd for attempt in attempts),
        saved_cost_nano_usd=generated.cost_nano_usd if joined else 0,
        findings=(*completed.findings, *generated.findings),
        attempt_count=len(attempts),
        format_outcome=generated.format_outcome,
    )


def _completed(
    admitted: AdmittedTurn,
    prompt: Prompt,
    trace: Trace,
    *,
    finish_reason: FinishReason,
    source: AnswerSource,
    provider: str,
    model: str,
) -> Completed:
    """Return what the last event of every turn says."""
    return Completed(
        request_id=trace.request_id,
        finish_reason=finish_reason,
        source=source,
        provider=provider,
        model=model,
        template=prompt.template,
        template_version=prompt.version,
        arm=prompt.arm,
        findings=tuple(trace.findings),
        degradations=trace.degradations,
        timings=trace.timings,
        first_delta_seconds=trace.first_delta_seconds,
        budget_decision=admitted.handle.reservation.decision,
    )
