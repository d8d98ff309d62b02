"""Calls the model, guards what it writes while it writes, and has a malformed answer repaired."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, assert_never

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import AttemptKind
from parley_services.kit.chat.message import Message, Role
from parley_services.kit.errors import AnswerMalformed, DependencyUnavailable, ServiceError
from parley_services.kit.rpc.pacing import Pacer
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.events import (
    Delta,
    FormatOutcome,
    Intervened,
    Switched,
    ToolCalled,
)
from parley_services.orchestrator.fallback_guardrails import FallbackGuardrails
from parley_services.orchestrator.finish.reservation_handle import AttemptRecorder
from parley_services.orchestrator.generate.answer import Answer
from parley_services.orchestrator.generate.shared_generation import Generated, GenerationEvent
from parley_services.orchestrator.generate.stream_buffer import Inbox
from parley_services.orchestrator.ports import OutputScan, Router
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.guardrails import (
    Intervention,
    OutputContext,
    Released,
    ScanEnded,
)
from parley_services.orchestrator.values.router import (
    AnswerEnded,
    AttemptEnded,
    AttemptsLost,
    ModelCall,
    Reasoning,
    RouteChosen,
    RouterEvent,
    RouteSwitched,
    Text,
    ToolCallMade,
)

Publish = Callable[[GenerationEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a generation needs to know."""

    call: ModelCall
    input_token_count: int
    output: OutputContext
    deadline: Deadline
    recorder: AttemptRecorder
    trace: Trace


class Generation:
    """Produces answers. Shared by all turns; holds no state of its own."""

    def __init__(self, router: Router, guard: FallbackGuardrails, pacer: Pacer) -> None:
        self._router = router
        self._guard = guard
        self._pacer = pacer

    async def run_once(self, plan: Plan, publish: Publish) -> Generated:
        """Do as `run`, but publish a JSON answer while it comes and leave a malformed one as is."""
        return (await self._answer(plan, publish)).generated(FormatOutcome.UNSPECIFIED)

    async def run(self, plan: Plan, publish: Publish) -> Generated:
        """
        Publish the answer as it comes and return how it ended.

        Every attempt is noted in `plan.recorder`, whatever happens. A JSON answer is published
        only once it is valid, so that no client sees a broken one; it is sent back to the model
        once. Raises AnswerMalformed if that does not help, and what the router raises. On cancel
        the provider's call is cancelled and what it wrote so far is noted as estimated.
        """
        if not plan.call.response_format.is_json:
            return await self.run_once(plan, publish)
        draft: list[GenerationEvent] = []
        answer = await self._answer(plan, draft.append)
        outcome = FormatOutcome.VALID
        if answer.format_error and answer.finish_reason is FinishReason.STOP:
            draft.clear()
            answer = await self._answer(_repair(plan, answer), draft.append)
            outcome = FormatOutcome.REPAIRED
            if answer.format_error and answer.finish_reason is FinishReason.STOP:
                raise AnswerMalformed(
                    "The model broke the response format twice: simplify the schema or use "
                    "another model."
                )
        for event in draft:
            publish(event)
        return answer.generated(FormatOutcome.UNSPECIFIED if answer.format_error else outcome)

    async def _answer(self, plan: Plan, publish: Publish) -> Answer:
        """Let the router answer, over as many restarts as it takes."""
        answer = Answer(
            plan.recorder, kind=plan.call.kind, input_token_count=plan.input_token_count
        )
        try:
            async with aclosing(
                self._router.generate(plan.call, timeout_seconds=plan.deadline.timeout())
            ) as events:
                inbox = Inbox()
                async with _running(inbox.fill(events)) as filling:
                    while True:
                        await self._release(plan, answer, inbox, publish)
                        if (restart := answer.take_restart()) is not None:
                            publish(restart)
                            continue
                        if not answer.is_stopped:
                            await filling
                        return answer
        except ServiceError as error:
            if isinstance(error.__cause__, AttemptsLost):
                for attempt in error.__cause__.attempts:
                    answer.attempt_ended(attempt)
                if not isinstance(error, DependencyUnavailable):
                    # The router said itself how it ended, so no attempt is open any more.
                    answer.all_attempts_told()
            raise
        finally:
            answer.close()

    async def _release(self, plan: Plan, answer: Answer, inbox: Inbox, publish: Publish) -> None:
        """Publish what the guardrails release, until the answer ends, is stopped or restarts."""
        async with (
            self._guard.scan_output(plan.output, deadline=plan.deadline, trace=plan.trace) as scan,
            _running(self._pump(answer, inbox, scan, publish)) as pumping,
        ):
            async for result in scan.results():
                match result:
                    case Released(text=text):
                        if not answer.restarts:
                            publish(Delta(text))
                    case Intervention(finding=finding):
                        publish(Intervened(finding))
                    case ScanEnded():
                        answer.scan_ended(result)
                    case _:
                        assert_never(result)
            if not answer.is_stopped:
                await pumping

    async def _pump(self, answer: Answer, inbox: Inbox, scan: OutputScan, publish: Publish) -> None:
        """Carry the router's text into the scan and note everything else."""
        try:
            while events := await inbox.drain():
                for index, event in enumerate(events):
                    if isinstance(event, Text):
                        answer.wrote(event.text)
                        await scan.send(event.text)
                    elif _note(answer, event, publish):
                        inbox.put_back(events[index + 1 :])
                        return
                if not await answer.is_covered():
                    answer.finish_reason = FinishReason.BUDGET
                    return
                await inbox.gather(self._pacer.window_seconds)
        finally:
            await scan.end()


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run *work* in a task beside the context. Leaving cancels it and waits for it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # Whoever awaited it has it; else it is beside the point by now.


def _note(answer: Answer, event: RouterEvent, publish: Publish) -> bool:
    """Note an event that is not text; return whether the text so far is over."""
    match event:
        case Reasoning(text=text):
            answer.thought(text)
        case ToolCallMade(call=call):
            publish(ToolCalled(call))
        case AttemptEnded(attempt=attempt):
            answer.attempt_ended(attempt)
        case RouteChosen():
            answer.attempt_began(event)
        case RouteSwitched():
            answer.switched(event)
            if answer.restarts:
                return True
            publish(_switched(event))
        case AnswerEnded():
            answer.ended(event)
            return True
        case Text():
            raise AssertionError("text goes to the scan")
        case _:
            assert_never(event)
    return False


def _switched(event: RouteSwitched) -> Switched:
    return Switched(from_model=event.from_model, to_model=event.to_model, reason=event.reason)


def _repair(plan: Plan, broken: Answer) -> Plan:
    """Return the plan that sends a broken answer back with what is wrong with it."""
    fault = Message(
        role=Role.USER,
        text=f"Your answer does not have the form that was asked for: {broken.format_error} "
        "Answer again, with the JSON only.",
    )
    said = Message(role=Role.ASSISTANT, text=broken.text)
    call = replace(
        plan.call,
        messages=(*plan.call.messages, said, fault),
        kind=AttemptKind.REPAIR,
        first_attempt_number=max((each.number for each in plan.recorder.attempts), default=0) + 1,
    )
    return replace(plan, call=call)
