"""Doubles for the model router's ports."""

import asyncio
from collections.abc import Iterable, Sequence

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.usage import Usage
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.provider import (
    Finished,
    ProviderCall,
    ProviderEvent,
    ProviderStream,
    TextDelta,
)

HANG = object()
"""In a script: nothing comes any more."""

STOP = Finished(FinishReason.STOP)


class ScriptedProvider:
    """
    Plays one script for each call, the last one again and again.

    A script is a list of texts, events, failures and `HANG`. A failure at its beginning
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
        self.usage: Usage | None = None
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
        if isinstance(item, Finished):
            self.usage = self._final_usage
        return [item]

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            self._provider.open_streams -= 1


def _error(item: FailureKind | ProviderError) -> ProviderError:
    return item if isinstance(item, ProviderError) else ProviderError(item)
