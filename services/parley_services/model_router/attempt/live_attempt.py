"""A call to a provider while it runs: supervised, counted, and booked when it ends."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from parley_services.kit.chat.attempt import Attempt, AttemptKind, AttemptOutcome
from parley_services.kit.chat.usage import Usage
from parley_services.kit.clock import Clock
from parley_services.kit.models.prices import Price
from parley_services.kit.models.tokens import count_input, count_tokens
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.provider import (
    Finished,
    Logprobs,
    Provider,
    ProviderCall,
    ProviderEvent,
    ProviderStream,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)
from parley_services.model_router.stream.read_timeout import ReadTimedOut, ReadTimeout


class DeadlinePassed(Exception):
    """The time of the whole call is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a provider may take."""

    first_token_seconds: float
    """From sending the request to the first output."""
    stall_seconds: float
    """From one piece of output to the next."""


class LiveAttempt:
    """
    One call to a provider.

    `open`, then `read` until `Finished`; then in any case `book` and `aclose`.
    """

    def __init__(
        self,
        *,
        number: int,
        kind: AttemptKind,
        model_name: str,
        provider_name: str,
        provider: Provider,
        call: ProviderCall,
        price: Price,
        price_version: str,
        limits: Limits,
        deadline: float,
        clock: Clock,
    ) -> None:
        """Know when the whole call must end: *deadline*, on the monotonic clock."""
        self.number = number
        self.kind = kind
        self.model_name = model_name
        """The model's name in the catalogue."""
        self.provider_name = provider_name
        self.first: Sequence[ProviderEvent] = ()
        """The first output, once opened."""
        self.first_token_seconds: float | None = None
        self.record_number = 0
        """The number under which it is written down."""
        self.recorded_at = clock.monotonic()
        """When it was written down last."""
        self._provider = provider
        self._call = call
        self._price = price
        self._price_version = price_version
        self._limits = limits
        self._deadline = deadline
        self._clock = clock
        self._watch = ReadTimeout()
        self._stream: ProviderStream | None = None
        self._sent_at = clock.monotonic()
        self._texts: list[str] = []
        self._input_token_count: int | None = None

    @property
    def waited_seconds(self) -> float:
        """How long ago the request was sent."""
        return self._clock.monotonic() - self._sent_at

    async def open(self) -> None:
        """
        Send the request and wait for the first output, which is then in `first`.

        Raises ProviderError, and DeadlinePassed when the whole call's time is over.
        """
        self.first = await self._within(
            self._open, self._limits.first_token_seconds, FailureKind.FIRST_TOKEN_TIMEOUT
        )

    async def read(self) -> Sequence[ProviderEvent]:
        """Return the next output. Raises as `open` does."""
        assert self._stream is not None
        events = await self._within(
            self._stream.read, self._limits.stall_seconds, FailureKind.STALLED
        )
        self._note(events)
        return events

    def book(self, outcome: AttemptOutcome, error: ProviderError | None = None) -> Attempt:
        """
        Return what is to be booked, as of now.

        Of the provider's count and our own the larger is booked when the answer is not
        whole, since providers bill what they made, also for a stream that was cut.
        """
        usage = self._usage(outcome)
        request_id = self._stream.provider_request_id if self._stream is not None else ""
        return Attempt(
            number=self.number,
            provider=self.provider_name,
            model=self._call.model.name,
            kind=self.kind,
            outcome=outcome,
            error_kind="" if error is None else error.kind.value,
            usage=usage,
            cost_nano_usd=0 if usage == Usage() else self._price.cost_nano_usd(usage),
            price_version=self._price_version,
            first_token_seconds=self.first_token_seconds,
            duration_seconds=self.waited_seconds,
            provider_request_id=request_id or (error.provider_request_id if error else ""),
        )

    async def aclose(self) -> None:
        """Give the connection back, or close it if the answer is not whole."""
        self._watch.close()
        if self._stream is not None:
            await self._stream.aclose()

    async def _open(self) -> Sequence[ProviderEvent]:
        self._sent_at = self._clock.monotonic()
        self._stream = await self._provider.open(self._call)
        events = await self._stream.read()
        self._note(events)
        return events

    async def _within(
        self,
        read: Callable[[], Awaitable[Sequence[ProviderEvent]]],
        limit_seconds: float,
        too_slow: FailureKind,
    ) -> Sequence[ProviderEvent]:
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise DeadlinePassed
        try:
            return await self._watch.read(read, min(limit_seconds, left))
        except ReadTimedOut:
            if left <= limit_seconds:
                raise DeadlinePassed from None
            raise ProviderError(too_slow) from None

    def _note(self, events: Sequence[ProviderEvent]) -> None:
        if self.first_token_seconds is None:
            self.first_token_seconds = self.waited_seconds
        for event in events:
            match event:
                case TextDelta(text=text) | ReasoningDelta(text=text):
                    self._texts.append(text)
                case ToolCallDone(call=call):
                    self._texts.append(call.arguments_json)
                case Logprobs() | Finished():
                    pass

    def _usage(self, outcome: AttemptOutcome) -> Usage:
        said = self._stream.usage if self._stream is not None else None
        match outcome:
            case AttemptOutcome.FAILED:
                return said or Usage()
            case AttemptOutcome.SUCCEEDED if said is not None:
                return said
            case _:
                return larger_usage(said, self._own_count())

    def _own_count(self) -> Usage:
        model = self._call.model.name
        if self._input_token_count is None:
            self._input_token_count = input_token_count(self._call.request, model)
        return Usage(
            input_token_count=self._input_token_count,
            output_token_count=count_tokens("".join(self._texts), model),
            estimated=True,
        )


def input_token_count(request: GenerationRequest, model: str) -> int:
    """Return the caller's count of what *request* sends to *model*, else our own."""
    if request.input_token_count is not None:
        return request.input_token_count
    return count_input(
        model=model,
        system_text=request.system_text,
        messages=request.messages,
        tools=request.tools,
        response_format=request.response_format,
    ).token_count


def larger_usage(said: Usage | None, own: Usage) -> Usage:
    """Return the larger of the provider's count and our own, flagged as estimated."""
    if said is None:
        return own
    return Usage(
        input_token_count=max(said.input_token_count, own.input_token_count),
        cached_input_token_count=said.cached_input_token_count,
        cache_write_token_count=said.cache_write_token_count,
        output_token_count=max(said.output_token_count, own.output_token_count),
        reasoning_token_count=said.reasoning_token_count,
        estimated=True,
    )
