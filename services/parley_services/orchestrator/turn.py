"""
One chat turn, from admission to the last event.

admit -> prompt -> cache -> generate, guarded while it streams -> completed, then the writer.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import total_usage
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.finding import GuardrailAction
from parley_services.kit.clock import Clock
from parley_services.kit.errors import (
    BudgetExhausted,
    DependencyUnavailable,
    ProviderUnavailable,
    ServiceError,
)
from parley_services.kit.rpc import request_context
from parley_services.kit.rpc.pacing import Pacer
from parley_services.orchestrator.admission.admission import Admission, AdmittedTurn
from parley_services.orchestrator.admission.request import TurnRequest
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.events import (
    Completed,
    Delta,
    Event,
    Intervened,
    Started,
    Switched,
    TurnStage,
)
from parley_services.orchestrator.finish import completion as ends
from parley_services.orchestrator.finish.reservation_handle import ReservationHandle
from parley_services.orchestrator.finish.shadow import AnsweredTurn, Shadows
from parley_services.orchestrator.generate.generation import Generation, Plan
from parley_services.orchestrator.generate.shared_generation import (
    Generated,
    SharedGeneration,
    SharedGenerations,
)
from parley_services.orchestrator.ports import PostTurnWriter
from parley_services.orchestrator.prompt.prompting import Prompting
from parley_services.orchestrator.reuse.hits import GivenHits
from parley_services.orchestrator.reuse.lookup import CachePlan, Reuse, may_be_given_again
from parley_services.orchestrator.reuse.replay import Replay
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.cache import CachedAnswer, Hit
from parley_services.orchestrator.values.prompts import Prompt
from parley_services.orchestrator.values.records import NewAnswer, Outcome, Texts

log = structlog.get_logger()

_RETRY_AFTER_SECONDS = 5.0
"""What a client is told to wait when neither a model nor the cache could answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What every turn goes through. Shared by all turns."""

    admission: Admission
    prompting: Prompting
    reuse: Reuse
    hits: GivenHits
    replay: Replay
    generation: Generation
    shared_generations: SharedGenerations
    writer: PostTurnWriter
    shadows: Shadows
    pacer: Pacer
    clock: Clock


class Turn:
    """One turn. `events` is called once."""

    def __init__(
        self, stages: Stages, request: TurnRequest, *, secret: str, deadline: Deadline
    ) -> None:
        self._stages = stages
        self._request = request
        self._secret = secret
        self._deadline = deadline
        self._trace = Trace(stages.clock, request.request_id)
        self._prompt: Prompt | None = None
        self._completed: Completed | None = None
        self._plan: Plan | None = None
        self._text = ""

    async def events(self) -> AsyncGenerator[Event, None]:
        """
        Yield the turn's events: Started first, Completed last.

        Raises a ServiceError if the turn fails. However it ends, also when the generator is
        closed early, what was spent is booked and the outcome is reported.
        """
        request_context.bind(request_id=self._trace.request_id)
        with self._trace.stage(TurnStage.ADMISSION):
            admitted = await self._stages.admission.admit(
                self._request, self._secret, self._deadline, self._trace
            )
        failure = "INTERNAL"
        try:
            async with aclosing(self._answer(admitted)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        self._trace.delta_sent()
                    elif isinstance(event, Completed):
                        self._completed = event
                    yield event
            failure = ""
        except ServiceError as error:
            failure = error.reason
            raise
        except (asyncio.CancelledError, GeneratorExit):
            failure = "" if self._completed else "CANCELLED"
            raise
        finally:
            if self._trace.degradations:
                log.warning(
                    "turn_degraded",
                    degraded=[each.component for each in self._trace.degradations],
                    reason=failure,
                )
            self._report(admitted, failure)

    async def _answer(self, admitted: AdmittedTurn) -> AsyncGenerator[Event, None]:
        """Answer from the cache or from a model; settle unless a shared generation does."""
        stages, trace, handle = self._stages, self._trace, admitted.handle
        cache_plan: CachePlan | None = None
        try:
            with trace.stage(TurnStage.PROMPT):
                prompt = await stages.prompting.render(admitted, self._deadline, trace)
            self._prompt = prompt
            handle.template, handle.template_version = prompt.template, prompt.version
            yield Started(
                request_id=trace.request_id,
                template=prompt.template,
                template_version=prompt.version,
                arm=prompt.arm,
            )
            for finding in trace.findings:
                if finding.action is GuardrailAction.REDACT:
                    yield Intervened(finding)
            cache_plan = stages.reuse.plan(admitted, prompt)
            hit = await stages.reuse.lookup(
                cache_plan,
                self._deadline,
                trace,
                is_in_flight=lambda: self._is_in_flight(cache_plan),
            )
            for degraded in trace.news():
                yield degraded
            if hit is not None:
                async for event in self._from_cache(hit, admitted, prompt):
                    yield event
                return
            model, switched = _affordable_model(admitted, prompt)
            if switched is not None:
                yield switched
            self._plan = ends.plan(
                admitted, prompt, model=model, deadline=self._deadline, trace=trace
            )
            async for event in self._from_model(self._plan, admitted, prompt, cache_plan):
                yield event
        finally:
            if not handle.is_shared:
                handle.settle(end_time=stages.clock.now())
            if cache_plan is not None and not self._is_in_flight(cache_plan):
                stages.reuse.coalescing.give_back(cache_plan.coalescing_key)

    def _is_in_flight(self, cache_plan: CachePlan) -> bool:
        """Say whether an identical turn is under way that this one would join."""
        return (
            self._stages.shared_generations.under_way(cache_plan.coalescing_key, self._deadline)
            is not None
        )

    async def _from_cache(
        self, hit: Hit, admitted: AdmittedTurn, prompt: Prompt
    ) -> AsyncGenerator[Event, None]:
        """Stream an earlier answer."""
        output = ends.output_context(admitted, prompt)
        with self._trace.stage(TurnStage.REPLAY):
            async for delta in self._stages.replay.stream(
                hit.answer.text, output, self._deadline, self._trace
            ):
                yield delta
        self._text = hit.answer.text
        self._stages.hits.note(admitted.subject.tenant_id, self._trace.request_id, hit)
        saved = hit.answer.cost_nano_usd
        admitted.handle.settle(
            end_time=self._stages.clock.now(),
            source=hit.source,
            saved_cost_nano_usd=saved,
            model=hit.answer.model,
        )
        yield ends.completed_by_cache(hit, admitted, prompt, self._trace)

    async def _from_model(
        self, plan: Plan, admitted: AdmittedTurn, prompt: Prompt, cache_plan: CachePlan
    ) -> AsyncGenerator[Event, None]:
        """Stream a new answer, one's own or that of an identical turn under way."""
        try:
            with self._trace.stage(TurnStage.GENERATION):
                async with self._stages.shared_generations.join_or_start(
                    cache_plan.coalescing_key,
                    self._deadline,
                    lambda shared: self._generate(plan, admitted.handle, cache_plan, shared),
                ) as (shared, joined):
                    admitted.handle.is_shared = not joined
                    async for event in self._read(shared):
                        if not isinstance(event, Generated):
                            yield event
                            continue
                        generated = event
        except (ProviderUnavailable, DependencyUnavailable) as error:
            async for event in self._without_model(error, admitted, prompt, cache_plan):
                yield event
            return
        self._text = generated.cacheable_text
        for degraded in self._trace.news():
            yield degraded
        if joined:
            admitted.handle.settle(
                end_time=self._stages.clock.now(),
                source=AnswerSource.COALESCED,
                saved_cost_nano_usd=generated.cost_nano_usd,
                model=generated.model,
            )
        yield ends.completed_by_model(generated, admitted, prompt, self._trace, joined=joined)

    async def _read(self, shared: SharedGeneration) -> AsyncGenerator[Event | Generated, None]:
        """Read a generation; the pacer counts the streams."""
        with self._stages.pacer.stream():
            async with aclosing(shared.read()) as events:
                async for event in events:
                    yield event

    async def _generate(
        self, plan: Plan, handle: ReservationHandle, cache_plan: CachePlan, shared: SharedGeneration
    ) -> Generated:
        """Generate, then book what it cost, whoever still reads it."""
        stages = self._stages
        source, model = AnswerSource.UNSPECIFIED, ""
        try:
            generated = await stages.generation.run(plan, shared.publish)
            source, model = AnswerSource.MODEL, generated.model
        finally:
            handle.settle(end_time=stages.clock.now(), source=source, model=model)
        if may_be_given_again(generated, shared, cache_plan, plan.trace):
            stages.writer.put(
                NewAnswer(
                    request_id=plan.call.request_id,
                    partition=cache_plan.partition,
                    text=cache_plan.text,
                    lock_id=stages.reuse.coalescing.take(cache_plan.coalescing_key),
                    answer=CachedAnswer(
                        text=generated.cacheable_text,
                        provider=generated.provider,
                        model=generated.model,
                        usage=total_usage(generated.attempts),
                        cost_nano_usd=generated.cost_nano_usd,
                    ),
                )
            )
        return generated

    async def _without_model(
        self, error: ServiceError, admitted: AdmittedTurn, prompt: Prompt, cache_plan: CachePlan
    ) -> AsyncGenerator[Event, None]:
        """Fall back on a cached answer at a lower bar, or raise that there is none."""
        hit = None
        if self._trace.first_delta_seconds is None:
            hit = await self._stages.reuse.fallback(cache_plan, self._deadline, self._trace)
        if hit is None:
            raise ProviderUnavailable(
                "No model can be reached: try again later.",
                metadata=error.metadata,
                retry_after_seconds=error.retry_after_seconds or _RETRY_AFTER_SECONDS,
            ) from error
        self._trace.degrade("model_router", "A cached answer at a lower bar is given.")
        for degraded in self._trace.news():
            yield degraded
        async for event in self._from_cache(hit, admitted, prompt):
            yield event

    def _report(self, admitted: AdmittedTurn, failure: str) -> None:
        """Tell the prompt's version how the turn ended. A turn without a prompt has none."""
        prompt, completed = self._prompt, self._completed
        if prompt is None:
            return
        outcome = Outcome(
            request_id=self._trace.request_id,
            subject=admitted.subject,
            template=prompt.template,
            template_version=prompt.version,
            experiment_id=prompt.experiment_id,
            arm=prompt.arm,
            end_time=self._stages.clock.now(),
            latency_seconds=self._trace.elapsed(),
            error_reason=failure,
            first_delta_seconds=self._trace.first_delta_seconds,
        )
        if prompt.retains_texts:
            said = Texts(input_text=admitted.request.text, output_text=self._text)
            outcome = replace(outcome, texts=said)
        if completed is not None:
            outcome = outcome.of(completed)
        self._stages.writer.put(outcome)
        if self._plan is not None and outcome.source is AnswerSource.MODEL:
            self._stages.shadows.start(
                AnsweredTurn(
                    request=admitted.request,
                    prompt=prompt,
                    plan=self._plan,
                    outcome=outcome,
                    text=self._text,
                )
            )


def _affordable_model(admitted: AdmittedTurn, prompt: Prompt) -> tuple[str, Switched | None]:
    """
    Return the model that the budget policy allows, and the event that says so if it is another.

    Raises BudgetExhausted where it allows none.
    """
    reservation = admitted.handle.reservation
    wanted = prompt.model
    match reservation.decision:
        case BudgetDecision.CACHE_ONLY:
            raise BudgetExhausted(
                "The budget allows cached answers only and there is none: ask again after it is "
                "reset.",
                metadata={"policy_rule": reservation.policy_rule},
            )
        case BudgetDecision.DOWNGRADE | BudgetDecision.CACHE_FIRST:
            switched = Switched(
                from_model=wanted,
                to_model=reservation.downgrade_model,
                reason="budget_downgrade",
            )
            return reservation.downgrade_model, switched
        case _:
            return wanted, None
