"""A call to a provider while it runs: supervised, counted, and booked when it ends."""

import asyncio
from collections.abc import Sequence
from typing import Final

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import Attempt, AttemptKind, AttemptOutcome
from parley_services.kit.chat.usage import Usage
from parley_services.kit.clock import Clock
from parley_services.kit.models.prices import Price
from parley_services.kit.rpc.step_timeout import StepTimeout
from parley_services.model_router.attempt.failures import (
    BILLED_FAILURES,
    FailureKind,
    ProviderError,
)
from parley_services.model_router.attempt.life_signs import LifeSigns, Limits
from parley_services.model_router.attempt.reconciliation import OwnCount, reconcile
from parley_services.model_router.attempt.written import WrittenText
from parley_services.model_router.providers.provider import (
    Finished,
    Provider,
    ProviderCall,
    ProviderEvent,
    ProviderStream,
)


class DeadlinePassed(Exception):
    """The time of the whole call is over."""


RUNAWAY_FACTOR: Final = 1.5
RUNAWAY_SLACK_TOKENS: Final = 256
"""How far beyond its limit an answer may go by our count, which may differ from the model's."""


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
        input_token_count: int,
        context_token_count: int,
        limits: Limits,
        deadline: float,
        clock: Clock,
    ) -> None:
        """
        Know what is sent, *input_token_count* by our own count, and when the whole call must
        end: *deadline*, on the monotonic clock. *context_token_count* of 0 is unknown.
        """
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
        self.contradictions: tuple[str, ...] = ()
        """What of the provider's usage was not believed when it was booked last."""
        self._provider = provider
        self._call = call
        self._price = price
        self._price_version = price_version
        self._input_token_count = input_token_count
        self._context_token_count = context_token_count
        self._limits = limits
        self._deadline = deadline
        self._clock = clock
        self._timeout = StepTimeout()
        self._is_last_step = False
        """Whether the deadline ends the step that is awaited."""
        self._stream: ProviderStream | None = None
        self._sent_at = clock.monotonic()
        self._life = LifeSigns(limits, sent_at=self._sent_at)
        self._written = WrittenText(call.model.name)

    @property
    def waited_seconds(self) -> float:
        """How long ago the request was sent."""
        return self._clock.monotonic() - self._sent_at

    async def open(self) -> None:
        """
        Send the request and wait for the first output, which is then in `first`.

        Raises ProviderError, and DeadlinePassed when the whole call's time is over.
        """
        self._sent_at = self._clock.monotonic()
        self._life = LifeSigns(self._limits, sent_at=self._sent_at)
        self._begin_step()
        try:
            self._stream = await self._provider.open(self._call)
        except asyncio.CancelledError:
            self._raise_if_too_slow()
            raise
        finally:
            self._timeout.end()
        while not self._life.has_begun:
            self.first = await self.read()
        self.first_token_seconds = self.waited_seconds

    async def read(self) -> Sequence[ProviderEvent]:
        """Return the next events. Raises as `open` does."""
        assert self._stream is not None
        self._begin_step()
        try:
            events = await self._stream.read()
        except asyncio.CancelledError:
            self._raise_if_too_slow()
            raise
        finally:
            self._timeout.end()
        self._life.saw(events, now=self._clock.monotonic())
        self._written.add(events)
        if not isinstance(events[-1], Finished) and self._runs_away():
            return [*events, Finished(FinishReason.LENGTH)]
        return events

    def book(self, outcome: AttemptOutcome, error: ProviderError | None = None) -> Attempt:
        """
        Return what is to be booked, as of now. Never raises.

        The provider's count is checked against what passed. Of both the larger is booked when
        the answer is not whole, since providers bill what they made, also for a stream that
        was cut.
        """
        usage = self._usage(outcome, error)
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
        self._timeout.close()
        if self._stream is not None:
            await self._stream.aclose()

    def _begin_step(self) -> None:
        """Limit what is awaited next. Raises DeadlinePassed if there is no time at all."""
        now = self._clock.monotonic()
        if now >= self._deadline:
            raise DeadlinePassed
        due = self._life.due()
        self._is_last_step = due >= self._deadline
        self._timeout.begin(max(0.0, min(due, self._deadline) - now))

    def _raise_if_too_slow(self) -> None:
        """Say what it means that the step was cancelled, unless somebody else did that."""
        if self._timeout.expired():
            if self._is_last_step:
                raise DeadlinePassed from None
            raise ProviderError(self._life.too_slow) from None

    def _runs_away(self) -> bool:
        """Return whether the answer is far longer than it may be: nobody stops the provider."""
        call = self._call
        limit = call.request.parameters.max_output_token_count or call.model.max_output_token_count
        most = limit * RUNAWAY_FACTOR + RUNAWAY_SLACK_TOKENS
        # A token has a character at least, so that most answers need no counting here.
        return (
            limit > 0
            and self._written.character_count > most
            and self._written.token_count() > most
        )

    def _usage(self, outcome: AttemptOutcome, error: ProviderError | None) -> Usage:
        if outcome is AttemptOutcome.FAILED and not self._was_worked_on(error):
            return Usage()
        stream, request = self._stream, self._call.request
        unfinished = stream.unfinished if stream is not None else ""
        written = self._written
        found = reconcile(
            stream.usage if stream is not None else None,
            OwnCount(
                input_token_count=lambda: self._input_token_count,
                output_token_count=lambda: written.token_count(unfinished),
                reasoning_token_count=written.reasoning_token_count,
                output_character_count=written.character_count + len(unfinished),
                input_is_estimated=request.has_images,
            ),
            is_whole=outcome is AttemptOutcome.SUCCEEDED,
            context_token_count=self._context_token_count,
        )
        self.contradictions = found.contradictions
        return found.usage

    def _was_worked_on(self, error: ProviderError | None) -> bool:
        """Return whether an attempt without an answer is billed: the provider took it on."""
        stream = self._stream
        if stream is None:
            return error is not None and error.kind is FailureKind.FIRST_TOKEN_TIMEOUT
        if self._written.character_count or stream.unfinished or stream.usage is not None:
            return True
        return error is None or error.kind in BILLED_FAILURES
