"""The guardrails with the baseline beneath them: what a turn really calls."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.admission.request import TurnRequest
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.ports import Guardrails, OutputScan
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.guardrails import (
    InputText,
    InputVerdict,
    OutputContext,
    Released,
    ScanResult,
)

EFFECT = "Only the baseline rules were applied, in the orchestrator."


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackGuardrails:
    """
    Asks the guardrails; while they are unavailable, applies the baseline rules in this process.

    With *fail_closed* a turn fails instead, with DependencyUnavailable.
    """

    service: Guardrails
    baseline: Guardrails
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
        for guardrails in (self.service, self.baseline):
            try:
                return await guardrails.check_input(
                    texts,
                    request_id=request.request_id,
                    tenant_id=subject.tenant_id,
                    template=request.template,
                    timeout_seconds=timeout,
                )
            except DependencyUnavailable:
                if self.fail_closed or guardrails is self.baseline:
                    raise
                trace.degrade("guardrails", EFFECT)
        raise AssertionError("the baseline always answers")

    @asynccontextmanager
    async def scan_output(
        self, context: OutputContext, *, deadline: Deadline, trace: Trace
    ) -> AsyncIterator[OutputScan]:
        """Open a scan that goes on under the baseline rules if the guardrails leave it."""
        timeout = deadline.timeout()
        async with self.service.scan_output(context, timeout_seconds=timeout) as primary:
            if self.fail_closed:
                yield primary
                return
            async with self.baseline.scan_output(context, timeout_seconds=timeout) as baseline:
                yield _TwoStepScan(primary, baseline, trace)


class _TwoStepScan:
    """A scan that starts over under the baseline rules when the service leaves it."""

    def __init__(self, primary: OutputScan, baseline: OutputScan, trace: Trace) -> None:
        self._current = primary
        self._baseline = baseline
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
        async for result in self._again_under_baseline():
            yield result

    async def _again_under_baseline(self) -> AsyncIterator[ScanResult]:
        """
        Replay the whole answer to the baseline and pass on what goes beyond what was released.

        What the service released was under stricter rules, so the baseline's text begins with it,
        unless the service redacted something in it; then the answer ends here.
        """
        self._current = self._baseline
        for text in self._sent:
            await self._baseline.send(text)
        if self._ended:
            await self._baseline.end()
        seen = ""
        async for result in self._baseline.results():
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
