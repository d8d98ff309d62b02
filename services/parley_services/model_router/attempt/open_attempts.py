"""The calls to providers that one answer has open, and those that wait to be reported."""

from datetime import timedelta
from typing import Final

import structlog

from parley_services.kit.chat.attempt import Attempt, AttemptKind, AttemptOutcome
from parley_services.kit.errors import ServiceError
from parley_services.model_router.attempt.failures import ProviderError
from parley_services.model_router.attempt.live_attempt import LiveAttempt
from parley_services.model_router.dependencies import RouterDependencies
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.provider import ProviderCall
from parley_services.model_router.route.chain import Step
from parley_services.model_router.route.routes import Permit
from parley_services.model_router.stream.events import AttemptEnded, Emit

log = structlog.get_logger()

WINDOWS_BETWEEN_RECORDS: Final = 4
"""How often it is written down what an attempt has used so far, in windows of the pacer: every
20 ms while there are few streams, every 0.6 s with hundreds, so that it takes some hundredths
of a core at most. If a stream's router and its caller die, so much of it is not booked."""


class OpenAttempts:
    """Begins and ends the attempts of one call, and books each of them once."""

    def __init__(
        self,
        request: GenerationRequest,
        *,
        input_token_count: int,
        deadline: float,
        dependencies: RouterDependencies,
    ) -> None:
        """
        Number as *request* says, which sends *input_token_count*; all must end by *deadline*, on
        the monotonic clock.
        """
        self.unreported: list[Attempt] = []
        """Attempts that ended and that no event has reported yet."""
        self.next_number = request.first_attempt_number
        """The number of the attempt that begins next."""
        self.cost_nano_usd = 0
        """What the attempts that ended cost together."""
        self._request = request
        self._input_token_count = input_token_count
        self._deadline = deadline
        self._dependencies = dependencies
        self._open: dict[LiveAttempt, Permit] = {}
        self._last_time = dependencies.clock.now() + timedelta(
            seconds=deadline - dependencies.clock.monotonic()
        )

    @property
    def may_begin(self) -> bool:
        """Whether the caller allows one more."""
        limit, first = self._request.max_attempt_count, self._request.first_attempt_number
        return not limit or self.next_number - first < limit

    def begin(
        self, step: Step, permit: Permit, kind: AttemptKind, request: GenerationRequest
    ) -> LiveAttempt:
        """
        Return the attempt to answer *request* by *step*, which is still to be opened.

        Raises Overloaded if it cannot be written down; *permit* is given back then.
        """
        dependencies, model = self._dependencies, step.model
        number = self.next_number
        self.next_number += 1
        live = LiveAttempt(
            number=number,
            kind=kind,
            model_name=model.name,
            provider_name=model.provider,
            provider=dependencies.providers[model.provider],
            call=ProviderCall(
                model=model.traits, request=request, api_key=permit.key, attempt_number=number
            ),
            price=step.price,
            price_version=dependencies.price_version,
            input_token_count=(
                self._input_token_count
                if request is self._request
                else request.count_input(model.traits.name)
            ),
            context_token_count=model.context_token_count,
            limits=dependencies.policy.limits,
            deadline=self._deadline,
            clock=dependencies.clock,
        )
        try:
            live.record_number = dependencies.log.begin(
                self._request, live.book(AttemptOutcome.CANCELLED), last_time=self._last_time
            )
        except ServiceError:
            dependencies.routes.leave(permit, None)
            raise
        self._open[live] = permit
        return live

    def record_progress(self, live: LiveAttempt, *, now: float) -> None:
        """
        Write down what *live* has used so far, unless that was done a moment ago.

        *now* is on the monotonic clock.
        """
        between_seconds = WINDOWS_BETWEEN_RECORDS * self._dependencies.pacer.window_seconds
        if now - live.recorded_at < between_seconds:
            return
        live.recorded_at = now
        self._dependencies.log.update(
            live.record_number, self._request, live.book(AttemptOutcome.CANCELLED)
        )

    async def end(
        self, live: LiveAttempt, outcome: AttemptOutcome, error: ProviderError | None = None
    ) -> Attempt:
        """Book *live* and close its connection."""
        # Booked before the connection is closed: a cancel in between loses no booking.
        attempt = live.book(outcome, error)
        if live.contradictions:
            log.warning(
                "usage_not_believed",
                request_id=self._request.request_id,
                provider=attempt.provider,
                model=attempt.model,
                reason=" ".join(live.contradictions),
            )
        self._dependencies.log.update(live.record_number, self._request, attempt)
        permit = self._open.pop(live)
        self.unreported.append(attempt)
        self.cost_nano_usd += attempt.cost_nano_usd
        self._dependencies.routes.leave(permit, attempt, error)
        await live.aclose()
        return attempt

    async def cancel_all(self, *, but: LiveAttempt | None = None) -> None:
        """End all that are open as cancelled, except *but*."""
        for live in [each for each in self._open if each is not but]:
            await self.end(live, AttemptOutcome.CANCELLED)

    async def report(self, emit: Emit) -> None:
        """Hand *emit* what ended and was not reported yet."""
        while self.unreported:
            await emit(AttemptEnded(self.unreported[0]))
            del self.unreported[0]
