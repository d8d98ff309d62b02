"""Doubles for the model router's ports."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.usage import Usage
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.attempt.reconciliation import OwnCount, reconcile
from parley_services.model_router.providers.openai.chat_usage import read_usage
from parley_services.model_router.providers.provider import (
    WROTE,
    Finished,
    ProviderCall,
    ProviderEvent,
    ProviderStream,
    TextDelta,
)
from parley_services.model_router.providers.reported_usage import ReportedUsage

HANG = object()
"""In a script: nothing comes any more."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """In a script: arguments of a call that is not whole."""

    text: str


STOP = Finished(FinishReason.STOP)


class ScriptedProvider:
    """
    Plays one script for each call, the last one again and again.

    A script is a list of texts, events, lists of events that come together, `Unfinished`,
    failures and `HANG`. A failure at its beginning
    fails the opening. A text at the end without an event after it is followed by `STOP`.
    """

    def __init__(self, *scripts: Iterable[object], usage: Usage | None = None) -> None:
        self.calls: list[ProviderCall] = []
        self.open_streams = 0
        self.closed = False
        self._scripts = [list(script) for script in scripts]
        self._usage = usage

    async def open(self, call: ProviderCall) -> ProviderStream:
        self.calls.append(call)
        index = min(len(self.calls), len(self._scripts)) - 1
        script = list(self._scripts[index])
        if script and isinstance(script[0], FailureKind | ProviderError):
            raise _error(script[0])
        if not script or isinstance(script[-1], str):
            script.append(STOP)
        self.open_streams += 1
        return _ScriptedStream(self, script, self._usage)

    async def aclose(self) -> None:
        self.closed = True


class _ScriptedStream:
    def __init__(
        self, provider: ScriptedProvider, script: list[object], usage: Usage | None
    ) -> None:
        self._provider = provider
        self._script = script
        self._final_usage = usage
        self._is_open = True
        self.usage: ReportedUsage | None = None
        self.unfinished = ""
        self.provider_request_id = f"req_{len(provider.calls)}"

    async def read(self) -> Sequence[ProviderEvent]:
        await asyncio.sleep(0)
        item = self._script.pop(0) if self._script else FailureKind.CUT
        if item is HANG:
            await asyncio.Event().wait()
        if isinstance(item, FailureKind | ProviderError):
            raise _error(item)
        if isinstance(item, str):
            return [TextDelta(item)]
        if isinstance(item, Unfinished):
            self.unfinished = item.text
            return [WROTE]
        if isinstance(item, list):
            return item
        if isinstance(item, Finished):
            self.usage = self._final_usage and reported(self._final_usage)
        return [item]

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            self._provider.open_streams -= 1


def reported(usage: Usage) -> ReportedUsage:
    """Return *usage* as a provider reports it at the end of an answer."""
    body = {
        "input_tokens": usage.input_token_count,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_token_count,
            "cache_write_tokens": usage.cache_write_token_count,
        },
        "output_tokens": usage.output_token_count,
        "reasoning_tokens": usage.reasoning_token_count,
    }
    return read_usage(body, is_final=True)


def believed(report: ReportedUsage | None) -> Usage | None:
    """Return what a report means where nothing else is known of its call; None for none."""
    if report is None:
        return None
    nothing = OwnCount(
        input_token_count=lambda: 0,
        output_token_count=lambda: 0,
        reasoning_token_count=lambda: 0,
        output_character_count=0,
    )
    return reconcile(report, nothing, is_whole=True).usage


def _error(item: FailureKind | ProviderError) -> ProviderError:
    return item if isinstance(item, ProviderError) else ProviderError(item)
