"""Runs arms of an experiment beside an answer that was given. Their user never sees them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.attempt import Attempt, AttemptKind, total_usage
from parley_services.kit.chat.message import Message, Role
from parley_services.kit.clock import Clock
from parley_services.kit.errors import ServiceError
from parley_services.orchestrator.admission.request import TurnRequest
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.generate.generation import Generation, Plan
from parley_services.orchestrator.generate.shared_generation import Generated, GenerationEvent
from parley_services.orchestrator.ports import PostTurnWriter
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.prompts import Prompt, ShadowArm
from parley_services.orchestrator.values.records import Outcome, Settlement, ShadowOutcome

log = structlog.get_logger()

FIRST_ATTEMPT_NUMBER = 1001
ATTEMPTS_PER_ARM = 100
"""Attempts are booked once for a turn and number, so each arm has numbers of its own, far above
those that a turn itself can reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredTurn:
    """A turn that a model answered, as its shadow arms need to know it."""

    request: TurnRequest
    prompt: Prompt
    plan: Plan
    outcome: Outcome
    text: str
    """The answer, with placeholders in place."""


class UnmeteredAttempts:
    """The attempts of one arm. No budget limits them: the operator pays."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    def add(self, attempt: Attempt) -> None:
        """Note an attempt."""
        self.attempts.append(attempt)

    async def covers(self, output_characters: int, model: str) -> bool:
        """Say yes."""
        return True


class Shadows:
    """
    Runs shadow arms in the background, at most *concurrency* at once; excess arms are dropped.

    An arm has *timeout_seconds*. It goes on when its client leaves, and ends with the service.
    """

    def __init__(
        self,
        generation: Generation,
        writer: PostTurnWriter,
        clock: Clock,
        *,
        concurrency: int,
        timeout_seconds: float,
    ) -> None:
        self._generation = generation
        self._writer = writer
        self._clock = clock
        self._concurrency = concurrency
        self._timeout_seconds = timeout_seconds
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Cancel what still runs when the context ends; what it cost by then is booked."""
        try:
            yield
        finally:
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)

    def start(self, turn: AnsweredTurn) -> None:
        """Run the arms that the prompt names, as far as there is room."""
        for index, arm in enumerate(turn.prompt.shadow_arms):
            if len(self._running) >= self._concurrency:
                log.info("shadow_dropped", request_id=turn.request.request_id)
                return
            number = FIRST_ATTEMPT_NUMBER + index * ATTEMPTS_PER_ARM
            task = asyncio.create_task(self._run(turn, arm, number))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, turn: AnsweredTurn, arm: ShadowArm, number: int) -> None:
        recorder = UnmeteredAttempts()
        trace = Trace(self._clock, turn.request.request_id)
        generated, failure = None, "CANCELLED"
        try:
            generated = await self._generation.run_once(
                self._plan(turn, arm, number, recorder, trace), _nobody
            )
            failure = ""
        except ServiceError as error:
            failure = error.reason
        finally:
            # Without an attempt it was dropped on the way: that says nothing about the arm.
            if recorder.attempts:
                self._book(turn, arm, recorder)
                self._report(turn, arm, recorder, trace, generated, failure)

    def _plan(
        self,
        turn: AnsweredTurn,
        arm: ShadowArm,
        number: int,
        recorder: UnmeteredAttempts,
        trace: Trace,
    ) -> Plan:
        request, plan = turn.request, turn.plan
        response_format = request.response_format.over(arm.response_format)
        return replace(
            plan,
            call=replace(
                plan.call,
                model=arm.model,
                system_text=arm.system_text,
                messages=(*request.history, Message(role=Role.USER, text=arm.user_text)),
                parameters=request.parameters.over(arm.parameters),
                response_format=response_format,
                kind=AttemptKind.SHADOW,
                first_attempt_number=number,
            ),
            output=replace(
                plan.output, system_text=arm.system_text, response_format=response_format
            ),
            deadline=Deadline(self._clock, self._timeout_seconds),
            recorder=recorder,
            trace=trace,
        )

    def _book(self, turn: AnsweredTurn, arm: ShadowArm, recorder: UnmeteredAttempts) -> None:
        self._writer.put(
            Settlement(
                request_id=turn.request.request_id,
                reservation_id="",
                subject=turn.outcome.subject,
                attempts=tuple(recorder.attempts),
                source=AnswerSource.UNSPECIFIED,
                saved_cost_nano_usd=0,
                template=turn.prompt.template,
                template_version=arm.version,
                tags=dict(turn.request.tags),
                end_time=self._clock.now(),
                model=recorder.attempts[-1].model,
            )
        )

    def _report(
        self,
        turn: AnsweredTurn,
        arm: ShadowArm,
        recorder: UnmeteredAttempts,
        trace: Trace,
        generated: Generated | None,
        failure: str,
    ) -> None:
        attempts = tuple(recorder.attempts)
        finish_reason = FinishReason.UNSPECIFIED if generated is None else generated.finish_reason
        self._writer.put(
            ShadowOutcome(
                outcome=Outcome(
                    request_id=turn.request.request_id,
                    subject=turn.outcome.subject,
                    template=turn.prompt.template,
                    template_version=arm.version,
                    experiment_id=arm.experiment_id,
                    arm=arm.arm,
                    end_time=self._clock.now(),
                    latency_seconds=trace.elapsed(),
                    model=attempts[-1].model,
                    finish_reason=finish_reason,
                    error_reason=failure,
                    guardrail_blocked=finish_reason is FinishReason.CONTENT_FILTER,
                    source=AnswerSource.MODEL if generated else AnswerSource.UNSPECIFIED,
                    usage=total_usage(attempts),
                    cost_nano_usd=sum(attempt.cost_nano_usd for attempt in attempts),
                    first_delta_seconds=attempts[-1].first_token_seconds,
                ),
                output_text=generated.cacheable_text if generated else "",
                answer=turn.outcome,
                answer_text=turn.text,
                input_text=turn.request.text if turn.prompt.retains_texts else "",
                response_format=turn.request.response_format,
            )
        )


def _nobody(event: GenerationEvent) -> None:
    """Publish to nobody."""
