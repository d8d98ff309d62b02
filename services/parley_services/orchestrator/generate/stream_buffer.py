"""Router events on their way to the guardrails: text that comes in a burst is gathered."""

import asyncio
from collections.abc import AsyncIterator

from parley_services.orchestrator.values.router import Reasoning, RouterEvent, Text


class Inbox:
    """
    Holds router events between the task that receives them and the one that guards them.

    Both run in one loop. It is as long as the answer at most, which the guardrails bound.
    """

    def __init__(self) -> None:
        self._events: list[RouterEvent] = []
        self._woken: asyncio.Future[None] | None = None
        self._waits_for_text = False
        self._urgent = False
        self._closed = False

    async def fill(self, events: AsyncIterator[RouterEvent]) -> None:
        """Put all of *events* in, then close. What they raise is raised here, after closing."""
        try:
            async for event in events:
                self._events.append(event)
                if not isinstance(event, Text | Reasoning):
                    self._urgent = True
                self._wake()
        finally:
            self._closed = self._urgent = True
            self._wake()

    async def drain(self) -> list[RouterEvent]:
        """Wait for events and return all there are, neighbouring texts as one; none at the end."""
        while not self._events and not self._closed:
            await self._sleep(None)
        events, self._events = self._events, []
        self._urgent = self._closed
        return _merged(events)

    def put_back(self, events: list[RouterEvent]) -> None:
        """Return what was drained too far, to come first again."""
        self._events[:0] = events

    async def gather(self, seconds: float) -> None:
        """Return after *seconds*, or as soon as something other than text has come."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not self._urgent and (left := until - loop.time()) > 0:
            await self._sleep(left)

    async def _sleep(self, seconds: float | None) -> None:
        """Wait to be woken: by the next event, or with *seconds* by an urgent one or the time."""
        loop = asyncio.get_running_loop()
        woken = self._woken = loop.create_future()
        self._waits_for_text = seconds is None
        timer = None if seconds is None else loop.call_later(seconds, _wake, woken)
        try:
            await woken
        finally:
            self._woken = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._woken is not None and (self._waits_for_text or self._urgent):
            _wake(self._woken)


def _merged(events: list[RouterEvent]) -> list[RouterEvent]:
    merged: list[RouterEvent] = []
    texts: list[str] = []
    for event in events:
        if isinstance(event, Text):
            texts.append(event.text)
            continue
        if texts:
            merged.append(Text("".join(texts)))
            texts = []
        merged.append(event)
    if texts:
        merged.append(Text("".join(texts)))
    return merged


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
