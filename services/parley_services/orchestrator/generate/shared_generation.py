"""
A generation that several turns may read.

The generation runs in a task of its own. Each subscriber reads the same log from its
beginning, at its own pace: whoever comes late gets the prefix first, whoever leaves does not
end the others, and the last one to leave cancels the generation.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.finding import Finding
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.events import (
    Delta,
    FormatOutcome,
    Intervened,
    Switched,
    ToolCalled,
)

GenerationEvent = Delta | ToolCalled | Intervened | Switched


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """How a generation ended well."""

    finish_reason: FinishReason
    provider: str
    model: str
    attempts: tuple[Attempt, ...]
    cacheable_text: str
    findings: tuple[Finding, ...] = ()
    format_outcome: FormatOutcome = FormatOutcome.UNSPECIFIED

    @property
    def cost_nano_usd(self) -> int:
        """What all attempts cost, in billionths of a US dollar."""
        return sum(attempt.cost_nano_usd for attempt in self.attempts)


Generate = Callable[["SharedGeneration"], Awaitable[Generated]]


class SharedGeneration:
    """The log of one generation. Written by one task, read by any number."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.subscribers = 0
        self.ended = False
        self._log: list[GenerationEvent] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[Generated] | None = None

    def start(self, generate: Generate) -> None:
        """Start the generation."""
        self._task = asyncio.create_task(self._run(generate))

    @property
    def called_tools(self) -> bool:
        """Whether the answer so far calls a tool."""
        return any(isinstance(event, ToolCalled) for event in self._log)

    def publish(self, event: GenerationEvent) -> None:
        """Append *event* to the log and wake the readers."""
        self._log.append(event)
        self._wake_readers()

    async def read(self) -> AsyncGenerator[GenerationEvent | Generated, None]:
        """
        Yield the log from its start, then the outcome.

        Text that piled up since the last step comes as one Delta. Raises what the generation
        raised. Leaving early leaves the generation untouched.
        """
        seen = 0
        while True:
            while seen < len(self._log):
                event = self._log[seen]
                seen += 1
                if isinstance(event, Delta) and seen < len(self._log):
                    texts = [event.text]
                    while seen < len(self._log) and isinstance(following := self._log[seen], Delta):
                        texts.append(following.text)
                        seen += 1
                    event = Delta("".join(texts))
                yield event
            if self.ended:
                break
            woken = asyncio.get_running_loop().create_future()
            self._waiting.append(woken)
            await woken
        assert self._task is not None
        yield self._task.result()

    async def cancel(self) -> None:
        """Cancel the generation, if it still runs, and wait until it has cleaned up."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # Nobody is left to read it.

    async def _run(self, generate: Generate) -> Generated:
        try:
            return await generate(self)
        finally:
            # The readers run after this task is done, so `result()` is there for them.
            self.ended = True
            self._wake_readers()

    def _wake_readers(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class SharedGenerations:
    """The generations under way, by what they would answer."""

    def __init__(self, *, coalesce_deadline_tolerance_seconds: float) -> None:
        self._by_key: dict[bytes, SharedGeneration] = {}
        self._tolerance_seconds = coalesce_deadline_tolerance_seconds

    def under_way(self, key: bytes | None, deadline: Deadline) -> SharedGeneration | None:
        """Return the generation of *key* that a turn with *deadline* would join, if any."""
        generation = self._by_key.get(key) if key is not None else None
        if generation is None or generation.ended:
            return None
        ends_too_early = generation.deadline.at + self._tolerance_seconds < deadline.at
        return None if ends_too_early else generation

    @asynccontextmanager
    async def join_or_start(
        self, key: bytes | None, deadline: Deadline, generate: Generate
    ) -> AsyncIterator[tuple[SharedGeneration, bool]]:
        """
        Join the generation of *key*, or start one with *generate*; yield it and whether
        it was joined.

        With None as key the generation is nobody else's. One whose deadline is earlier than
        *deadline* by more than the tolerance is not joined: it would end too early.
        """
        generation = self.under_way(key, deadline)
        joined = generation is not None
        if generation is None:
            generation = SharedGeneration(deadline)
            if key is not None:
                self._by_key[key] = generation
            generation.start(generate)
        generation.subscribers += 1
        try:
            yield generation, joined
        finally:
            generation.subscribers -= 1
            if generation.subscribers == 0:
                if key is not None and self._by_key.get(key) is generation:
                    del self._by_key[key]
                await generation.cancel()
