"""The baseline rules of the guardrails in this process, for when the service is unavailable."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from parley_services.guardrails import baseline
from parley_services.guardrails.streams.output_scanner import OutputScanner, Step
from parley_services.guardrails.streams.scan_rules import OutputContext as BaselineContext
from parley_services.kit.chat.finding import Finding
from parley_services.kit.chat.input_source import InputText as BaselineInput
from parley_services.orchestrator.ports import OutputScan
from parley_services.orchestrator.values.guardrails import (
    InputText,
    InputVerdict,
    Intervention,
    OutputContext,
    Released,
    ScanEnded,
    ScanResult,
)

THREAD_FROM_CHARACTERS = 16 * 1024
"""Length from which texts are judged beside the event loop, as the service does it."""


class BaselineGuardrails:
    """`Guardrails` by the baseline rules, which always answer and check no JSON."""

    def __init__(self, *, prepare: bool) -> None:
        """With *prepare* the rules are compiled now, which takes half a second, and not later."""
        if prepare:
            baseline.prepare()

    async def check_input(
        self,
        texts: Sequence[InputText],
        *,
        request_id: str,
        tenant_id: str,
        template: str,
        timeout_seconds: float,
    ) -> InputVerdict:
        inputs = [BaselineInput(text=each.text, source=each.source) for each in texts]
        if sum(len(each.text) for each in texts) < THREAD_FROM_CHARACTERS:
            report = baseline.check_input(inputs)
        else:
            report = await asyncio.to_thread(baseline.check_input, inputs)
        return InputVerdict(
            texts=tuple(each.text for each in report.texts),
            findings=tuple(each for text in report.texts for each in text.findings),
            placeholders=report.placeholders,
            blocking=report.blocking_finding,
        )

    @asynccontextmanager
    async def scan_output(
        self, context: OutputContext, *, timeout_seconds: float
    ) -> AsyncIterator[OutputScan]:
        yield _BaselineScan(context)


class _BaselineScan:
    """
    A scan by the baseline rules. `send` and `end` never wait.

    Nothing is made before the first text, since a scan is opened for every answer and needed
    for few.
    """

    def __init__(self, context: OutputContext) -> None:
        self._context = context
        self._scanner: OutputScanner | None = None
        self._steps: asyncio.Queue[Step | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        if self._scanner is None:
            self._scanner = baseline.scan_output(_baseline_context(self._context))
        self._pass_on(self._scanner.feed(text))
        if self._scanner.blocking_finding is not None:
            self._steps.put_nowait(None)

    async def end(self) -> None:
        if self._scanner is not None:
            self._pass_on(self._scanner.end())
        self._steps.put_nowait(None)

    async def results(self) -> AsyncIterator[ScanResult]:
        while (step := await self._steps.get()) is not None:
            if isinstance(step, str):
                yield Released(step)
            elif isinstance(step, Finding):
                yield Intervention(step)
        if self._scanner is None:
            yield ScanEnded(blocked=False, cacheable_text="", format_error="", findings=())
            return
        blocked = self._scanner.blocking_finding is not None
        report = self._scanner.report()
        yield ScanEnded(
            blocked=blocked,
            cacheable_text=report.cacheable_text,
            format_error="",
            findings=report.findings,
        )

    def _pass_on(self, steps: list[Step]) -> None:
        for step in steps:
            self._steps.put_nowait(step)


def _baseline_context(context: OutputContext) -> BaselineContext:
    return BaselineContext(placeholders=context.placeholders, user_texts=context.user_texts)
