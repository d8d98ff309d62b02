"""The guardrails with the floor beneath them: what a turn really calls."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.admission.request import TurnRequest
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.guardrails_port import (
    Guardrails,
    InputText,
    InputVerdict,
    OutputContext,
    OutputScan,
    Released,
    ScanResult,
)
from parley_services.orchestrator.trace import Trace

EFFECT = "Only the floor rules were applied, in the orchestrator."


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """
    Asks the guardrails; while they are away, applies the floor rules in this process.

    With *fail_closed* a turn fails instead, with DependencyUnavailable.
    """

    service: Guardrails
    floor: Guardrails
    fail_closed: bool
    check_timeout_seconds: float

    async def check_input(
        self,
        texts: Sequence[InputText],
        *,
        request: TurnRequest,
        subject: Subject,
        deadline: Deadline,
        trace: Trace,
    ) -> InputVerdict:
        """Judge *texts*. Raises DependencyUnavailable only with *fail_closed*."""
        timeout = deadline.timeout(self.check_timeout_seconds)
        for guardrails in (self.service, self.floor):
            try:
                return await guardrails.check_input(
                    texts,
                    request_id=request.request_id,
                    tenant_id=subject.tenant_id,
                    template=request.template,
                    timeout_seconds=timeout,
                )
            except DependencyUnavailable:
                if self.fail_closed or guardrails is self.floor:
                    raise
                trace.degrade("guardrails", EFFECT)
        raise AssertionError("the floor always answers")

    @asynccontextmanager
    async def scan_output(
        self, context: OutputContext, *, deadline: Deadline, trace: Trace
    ) -> AsyncIterator[OutputScan]:
        """Open a scan that goes on under the floor rules if the guardrails leave it."""
        timeout = deadline.timeout()
        async with self.service.scan_output(context, timeout_seconds=timeout) as primary:
            if self.fail_closed:
                yield primary
                return
            async with self.floor.scan_output(context, timeout_seconds=timeout) as floor:
                yield _TwoStepScan(primary, floor, trace)


class _TwoStepScan:
    """A scan that starts over under the floor rules when the service leaves it."""

    def __init__(self, primary: OutputScan, floor: OutputScan, trace: Trace) -> None:
        self._current = primary
        self._floor = floor
        self._trace = trace
        self._sent: list[str] = []
        self._ended = False
        self._released = ""

    async def send(self, text: str) -> None:
        self._sent.append(text)
        await self._current.send(text)

    async def end(self) -> None:
        self._ended = True
        await self._current.end()

    async def results(self) -> AsyncIterator[ScanResult]:
        try:
            async for result in self._current.results():
                if isinstance(result, Released):
                    self._released += result.text
                yield result
        except DependencyUnavailable:
            self._trace.degrade("guardrails", EFFECT)
        else:
            return
        async for result in self._again_under_the_floor():
            yield result

    async def _again_under_the_floor(self) -> AsyncIterator[ScanResult]:
        """
        Replay the whole answer to the floor and pass on what goes beyond what was released.

        What the service released was under stricter rules, so the floor's text begins with it,
        unless the service redacted something in it; then the answer ends here.
        """
        self._current = self._floor
        for text in self._sent:
            await self._floor.send(text)
        if self._ended:
            await self._floor.end()
        seen = ""
        async for result in self._floor.results():
            if not isinstance(result, Released):
                yield result
                continue
            before = len(seen)
            seen += result.text
            if not (seen.startswith(self._released) or self._released.startswith(seen)):
                raise DependencyUnavailable(
                    "The guardrails left in the middle of a redacted answer: try again.",
                    metadata={"dependency": "guardrails"},
                )
            fresh = seen[max(before, len(self._released)) :]
            if fresh:
                yield Released(fresh)
