"""Streams an earlier answer as if it were written now."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.events import Delta
from parley_services.orchestrator.fallback_guardrails import FallbackGuardrails
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.guardrails import OutputContext, Released

PIECE_CHARACTERS = 2048
"""Text per delta: a few messages for the longest answer, one for most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Streams cached text, which passed the output guard before it was kept."""

    guard: FallbackGuardrails

    async def stream(
        self, text: str, output: OutputContext, deadline: Deadline, trace: Trace
    ) -> AsyncGenerator[Delta, None]:
        """Yield *text*; this user's own placeholders in it are turned back as policy says."""
        if any(each.placeholder in text for each in output.placeholders):
            text = await self._restored(text, output, deadline, trace)
        for start in range(0, len(text), PIECE_CHARACTERS):
            yield Delta(text[start : start + PIECE_CHARACTERS])

    async def _restored(
        self, text: str, output: OutputContext, deadline: Deadline, trace: Trace
    ) -> str:
        async with self.guard.scan_output(output, deadline=deadline, trace=trace) as scan:
            await scan.send(text)
            await scan.end()
            return "".join(
                [each.text async for each in scan.results() if isinstance(each, Released)]
            )
