"""A provider without a network: scripted answers, and failures on purpose."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.message import ResponseFormatType, ToolCall
from parley_services.kit.clock import Clock, SystemClock
from parley_services.kit.models.tokens import count_tokens
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.provider import (
    Alternative,
    Finished,
    Logprobs,
    ProviderCall,
    ProviderEvent,
    ProviderStream,
    TextDelta,
    TokenLogprob,
    ToolCallDone,
)
from parley_services.model_router.providers.reported_usage import ReportedUsage
from parley_services.model_router.providers.simulated.answers import Script, tool_to_call
from parley_services.model_router.providers.simulated.json_example import example_of
from parley_services.model_router.stream.continuation import split_continuation

_WORDS: Final = re.compile(r"\s*\S+\s*")

FAILURES: Final = (
    FailureKind.OVERLOADED,
    FailureKind.SERVER_ERROR,
    FailureKind.RATE_LIMITED,
    FailureKind.CONNECT_FAILED,
)
"""What a call that is to fail draws from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBehaviour:
    """How simulated models behave. Rates are shares of calls, 0 to 1."""

    seed: int = 0
    failure_rate: float = 0.0
    """Calls that fail before any text."""
    cut_rate: float = 0.0
    """Streams that break in the middle."""
    stall_rate: float = 0.0
    """Streams that stop in the middle without ending."""
    failing_models: frozenset[str] = frozenset()
    """Models that fail each call as overloaded, by the provider's name."""
    first_token_seconds: float = 0.0
    slow_rate: float = 0.0
    """Calls that take `slow_seconds` longer to begin."""
    slow_seconds: float = 0.0
    token_seconds: float = 0.0
    """Between two words."""
    answer: str = ""
    """Answer everything with this; empty uses the script."""


class SimulatedProvider:
    """
    Answers from a script, word by word.

    As on a network, a reader gets all that has been written since it last read: word by word
    if it is quicker than the model, the whole answer at once where the model takes no time.

    What a call does follows from the seed, the request and the number of the attempt
    alone, so that a run can be repeated.
    """

    def __init__(
        self,
        behaviour: SimulatedBehaviour,
        script: Script,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._behaviour = behaviour
        self._script = script
        self._clock = clock or SystemClock()
        self._sleep = sleep

    async def open(self, call: ProviderCall) -> ProviderStream:
        behaviour = self._behaviour
        draw = _draw(behaviour.seed, call)
        request, prefix = split_continuation(call.request)
        if behaviour.first_token_seconds:
            await self._sleep(behaviour.first_token_seconds * draw.uniform(0.7, 1.3))
        if behaviour.slow_rate and draw.random() < behaviour.slow_rate:
            await self._sleep(behaviour.slow_seconds)
        if call.model.behaviour:
            raise ProviderError(FailureKind(call.model.behaviour))
        if call.model.name in behaviour.failing_models:
            raise ProviderError(FailureKind.OVERLOADED)
        if draw.random() < behaviour.failure_rate:
            raise ProviderError(draw.choice(FAILURES))
        events = self._events(call, request, prefix)
        broken_at = _break_point(draw, behaviour.cut_rate, len(events))
        stalled_at = _break_point(draw, behaviour.stall_rate, len(events))
        return SimulatedStream(
            events,
            input_token_count=call.request.count_input(call.model.name),
            model=call.model.name,
            request_id=f"sim_{draw.getrandbits(48):012x}",
            cut_at=broken_at,
            stall_at=stalled_at,
            token_seconds=behaviour.token_seconds,
            clock=self._clock,
            sleep=self._sleep,
        )

    async def aclose(self) -> None:
        return None

    def _events(
        self, call: ProviderCall, request: GenerationRequest, prefix: str
    ) -> list[ProviderEvent]:
        tool = tool_to_call(request)
        if tool is not None and not prefix:
            arguments = example_of(tool.parameters_json_schema)
            done = ToolCall(id=f"call_{tool.name}", name=tool.name, arguments_json=arguments)
            return [ToolCallDone(done), Finished(FinishReason.TOOL_CALL)]
        text = self._text(request)
        for stop in request.parameters.stop_sequences:
            text = text.split(stop, 1)[0]
        words = _WORDS.findall(text) or [text]
        limit = request.parameters.max_output_token_count
        finish = FinishReason.STOP
        if limit is not None and count_tokens(text, call.model.name) > limit:
            words, finish = words[:limit], FinishReason.LENGTH
        if prefix and "".join(words).startswith(prefix):
            # As asked: the last words again, then on.
            words = _WORDS.findall("".join(words)[_last_words_start(prefix) :])
        events: list[ProviderEvent] = []
        for word in words:
            events.append(TextDelta(word))
            if request.top_logprob_count is not None:
                events.append(_certain(word, request.top_logprob_count))
        return [*events, Finished(finish)]

    def _text(self, request: GenerationRequest) -> str:
        match request.response_format.type:
            case ResponseFormatType.JSON_SCHEMA:
                return example_of(request.response_format.json_schema)
            case ResponseFormatType.JSON_OBJECT:
                return '{"answer": "This is a simulated answer.", "confidence": 0.5}'
            case _:
                return self._behaviour.answer or self._script.answer(request)


class SimulatedStream:
    """A `ProviderStream` of events that are known beforehand."""

    def __init__(
        self,
        events: Sequence[ProviderEvent],
        *,
        input_token_count: int,
        model: str,
        request_id: str,
        cut_at: int | None,
        stall_at: int | None,
        token_seconds: float,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._events = events
        self._input_token_count = input_token_count
        self._model = model
        self._next = 0
        self._cut_at = cut_at
        self._stall_at = stall_at
        self._token_seconds = token_seconds
        self._clock = clock
        self._start = clock.monotonic()
        self._sleep = sleep
        self._finished = False
        self.provider_request_id = request_id

    @property
    def unfinished(self) -> str:
        return ""

    @property
    def usage(self) -> ReportedUsage | None:
        if not self._finished:
            return None
        written = "".join(
            event.text if isinstance(event, TextDelta) else event.call.arguments_json
            for event in self._events
            if isinstance(event, TextDelta | ToolCallDone)
        )
        return ReportedUsage(
            input_token_count=self._input_token_count,
            output_token_count=count_tokens(written, self._model),
            is_final=True,
        )

    async def read(self) -> Sequence[ProviderEvent]:
        position = self._next
        if position == self._cut_at:
            raise ProviderError(FailureKind.CUT, provider_request_id=self.provider_request_id)
        if position == self._stall_at:
            await asyncio.Event().wait()
        await self._sleep(max(0.0, position * self._token_seconds - self._elapsed()))
        self._next = max(position + 1, min(self._written_count(), self._break_at()))
        events = self._events[position : self._next]
        self._finished = isinstance(events[-1], Finished)
        return events

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._start

    def _written_count(self) -> int:
        """Return how many events the model has written by now."""
        if not self._token_seconds:
            return len(self._events)
        return int(self._elapsed() / self._token_seconds) + 1

    def _break_at(self) -> int:
        """Return where reading ends: where the stream breaks, or behind its last event."""
        breaks = (at for at in (self._cut_at, self._stall_at) if at is not None)
        return min(breaks, default=len(self._events))

    async def aclose(self) -> None:
        return None


def _certain(word: str, top_count: int) -> Logprobs:
    """Return what a model says of a word of which it has no doubt."""
    top = (Alternative(token=word, logprob=0.0),) if top_count else ()
    return Logprobs((TokenLogprob(token=word, logprob=0.0, top=top),))


def _draw(seed: int, call: ProviderCall) -> random.Random:
    request = call.request
    last = request.messages[-1].text if request.messages else ""
    key = f"{seed}\0{request.request_id}\0{call.model.name}\0{call.attempt_number}\0{last}"
    return random.Random(key)


def _break_point(draw: random.Random, rate: float, length: int) -> int | None:
    broken = draw.random() < rate
    position = draw.randrange(length)
    return position if broken else None


def _last_words_start(prefix: str) -> int:
    """Return where the last four words of *prefix* begin."""
    starts = [found.start() for found in re.finditer(r"\S+", prefix)]
    return starts[-4] if len(starts) >= 4 else 0
