"""One call of `Generate`: from route to route until an answer is whole."""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from services.kit.clock import Clock
from services.kit.errors import DeadlineExceeded
from services.model_router.attempt import Attempt, AttemptKind, AttemptOutcome
from services.model_router.budget import ShareBudget
from services.model_router.chain import Plan, Step
from services.model_router.continuation import continuation_of
from services.model_router.events import (
    AttemptEnded,
    Completed,
    RouteChosen,
    RouterEvent,
    Switched,
)
from services.model_router.failures import ProviderError, Treatment
from services.model_router.generation import AnswerForm, GenerationRequest, MidStreamPolicy
from services.model_router.giving_up import error_of_failures, unavailable
from services.model_router.join import Seam
from services.model_router.live_attempt import DeadlinePassed, LiveAttempt
from services.model_router.policy import RouterPolicy
from services.model_router.provider import (
    Finished,
    FinishReason,
    Provider,
    ProviderCall,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)
from services.model_router.retrying import PauseBetweenTries, StopAtDeadline, pause_seconds
from services.model_router.routes import Permit, Routes

Emit: TypeAlias = Callable[[RouterEvent], Awaitable[None]]
"""Takes an event on its way to the caller; waits while the caller is behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all calls share."""

    providers: Mapping[str, Provider]
    routes: Routes
    retry_budget: ShareBudget
    policy: RouterPolicy
    price_version: str
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    draw: random.Random


class RoutedCall:
    """
    Makes one answer. `run` is to be awaited once.

    On cancel the provider's connection is closed, and the attempts that no event has
    reported are in `unreported`.
    """

    def __init__(
        self, request: GenerationRequest, plan: Plan, *, deadline: float, means: Means
    ) -> None:
        """Know when the answer must be whole: *deadline*, on the monotonic clock."""
        self.unreported: list[Attempt] = []
        """Attempts that ended and that no event has reported yet."""
        self._request = request
        self._plan = plan
        self._deadline = deadline
        self._means = means
        self._steps = deque(plan.steps)
        self._next_number = request.first_attempt_number
        self._live: list[tuple[LiveAttempt, Permit]] = []
        self._failures: list[tuple[Step, ProviderError]] = []
        self._sent: list[str] = []
        self._sent_tool_call = False
        self._broke = False
        self._switches = 0

    async def run(self, emit: Emit) -> None:
        """
        Hand *emit* what happens: `RouteChosen`, then the answer, `Completed` last.

        A `RouteChosen` or `Switched` comes before each call to a provider and an
        `AttemptEnded` after it. Raises ProviderUnavailable, ProviderRefused, InputTooLarge
        and DeadlineExceeded; all attempts have been reported by then.
        """
        failure: ProviderError | DeadlinePassed
        announced = False
        try:
            while True:
                try:
                    live = await self._open(self._steps[0], emit, announced=announced)
                    await self._relay(live, emit)
                    return
                except (ProviderError, DeadlinePassed) as caught:
                    failure = caught
                await self._cancel_all()
                await self._report(emit)
                switched = self._switch_after(failure)
                pause = self._pause_before(switched)
                await emit(switched)
                if pause:
                    await self._means.sleep(pause)
                announced = True
        finally:
            await self._cancel_all()

    async def _relay(self, live: LiveAttempt, emit: Emit) -> None:
        """Pass on what *live* writes and how it ends. Raises ProviderError when it breaks."""
        seam = Seam("".join(self._sent))
        batch = live.first
        while True:
            for event in self._passed(batch, seam):
                await emit(event)
            if isinstance(last := batch[-1], Finished):
                return await self._complete(live, last.finish_reason, emit)
            try:
                batch = await live.read()
            except ProviderError as error:
                # What the seam still holds was not sent, so the next route writes it again.
                self._broke = True
                await self._end(live, AttemptOutcome.CUT, error)
                raise

    def _passed(self, batch: Iterable[ProviderEvent], seam: Seam) -> Iterator[RouterEvent]:
        """Yield what of *batch* goes to the caller."""
        for event in batch:
            match event:
                case TextDelta(text=text):
                    if fresh := seam.feed(text):
                        self._sent.append(fresh)
                        yield event if fresh is text else TextDelta(fresh)
                case ReasoningDelta():
                    yield event
                case ToolCallDone():
                    self._sent_tool_call = True
                    yield event
                case Finished():
                    if fresh := seam.finish():
                        self._sent.append(fresh)
                        yield TextDelta(fresh)
                case _:
                    assert_never(event)

    async def _complete(self, live: LiveAttempt, reason: FinishReason, emit: Emit) -> None:
        attempt = await self._end(live, AttemptOutcome.SUCCEEDED)
        await self._report(emit)
        await emit(
            Completed(
                finish_reason=reason,
                provider=attempt.provider,
                model=live.model_name,
                usage=attempt.usage,
                cost_nano_usd=attempt.cost_nano_usd,
            )
        )

    async def _open(self, step: Step, emit: Emit, *, announced: bool) -> LiveAttempt:
        """
        Return an answer of *step* that has begun, after as many tries as are worth it.

        *announced* tells that the caller knows of the first try already.
        """
        means, tries = self._means, 0

        async def open_once() -> LiveAttempt:
            nonlocal tries
            tries += 1
            permit = await means.routes.enter(
                step.model,
                self._request.tenant_id,
                is_shadow=self._request.kind is AttemptKind.SHADOW,
            )
            live = self._begin(step, permit, self._kind(is_retry=tries > 1))
            if tries > 1 or not announced:
                reason = "retry" if tries > 1 else self._plan.reason
                chosen = RouteChosen(
                    provider=step.model.provider, model=step.model.name, reason=reason
                )
                await emit(chosen)
            try:
                await live.open()
            except ProviderError as error:
                await self._end(live, AttemptOutcome.FAILED, error)
                raise
            finally:
                await self._report(emit)
            return live

        retrying = AsyncRetrying(
            sleep=means.sleep,
            stop=(
                stop_after_attempt(1 + means.policy.retries)
                | StopAtDeadline(self._deadline, means.clock)
            ),
            wait=PauseBetweenTries(means.policy, means.draw),
            retry=retry_if_exception(lambda error: self._is_worth_a_retry(step, error)),
            reraise=True,
        )
        live: LiveAttempt = await retrying(open_once)
        return live

    def _begin(self, step: Step, permit: Permit, kind: AttemptKind) -> LiveAttempt:
        means, model = self._means, step.model
        number = self._next_number
        self._next_number += 1
        live = LiveAttempt(
            number=number,
            kind=kind,
            model_name=model.name,
            provider_name=model.provider,
            provider=means.providers[model.provider],
            call=ProviderCall(
                model=model.traits,
                request=self._request_now(),
                api_key=permit.key,
                attempt_number=number,
            ),
            price=step.price,
            price_version=means.price_version,
            limits=means.policy.limits,
            deadline=self._deadline,
            clock=means.clock,
        )
        self._live.append((live, permit))
        return live

    def _request_now(self) -> GenerationRequest:
        if not self._sent:
            return self._request
        return continuation_of(self._request, "".join(self._sent))

    def _kind(self, *, is_retry: bool) -> AttemptKind:
        if self._request.kind is AttemptKind.SHADOW:
            return AttemptKind.SHADOW
        if self._sent:
            return AttemptKind.CONTINUATION
        if is_retry:
            return AttemptKind.RETRY
        return AttemptKind.FALLBACK if self._failures else self._request.kind

    def _is_worth_a_retry(self, step: Step, error: BaseException) -> bool:
        if not isinstance(error, ProviderError):
            return False
        match error.treatment:
            case Treatment.RETRY:
                asked = error.failure.retry_after_seconds or 0.0
                may = asked <= self._means.policy.max_retry_after_seconds
            case Treatment.NEXT:
                may = len(self._steps) == 1
            case Treatment.OTHER_KEY:
                # Not a burden on the provider, so the budget does not count it.
                return self._means.routes.has_key(step.model)
            case Treatment.NEXT_ONLY | Treatment.LARGER_CONTEXT | Treatment.GIVE_UP:
                return False
            case _:
                assert_never(error.treatment)
        return may and self._means.retry_budget.take()

    def _switch_after(self, failure: ProviderError | DeadlinePassed) -> Switched:
        """Turn to the next step and say so. Raises what the caller is told if there is none."""
        if isinstance(failure, DeadlinePassed):
            raise DeadlineExceeded("The time for the call was over before the answer was whole.")
        step = self._steps[0]
        self._failures.append((step, failure))
        restarts = False
        if self._broke:
            self._broke = False
            restarts = self._restarts_after_break(step, failure)
            # Whoever broke off once may still be the best of what is left.
            self._steps.rotate(-1)
        else:
            self._drop_first_step(failure)
        if not self._steps:
            raise error_of_failures(self._failures, self._plan)
        while len(self._steps) > 1 and not self._means.routes.lets_pass(self._steps[0].model):
            self._steps.popleft()
        to = self._steps[0].model
        return Switched(
            from_model=step.model.name,
            to_model=to.name,
            to_provider=to.provider,
            reason=failure.kind.value,
            restarts=restarts,
        )

    def _pause_before(self, switched: Switched) -> float:
        """
        Return how long to wait: the route that broke is not asked again at once.

        Raises ProviderUnavailable when there is no time or no budget for that.
        """
        if switched.from_model != switched.to_model:
            return 0.0
        means = self._means
        pause = pause_seconds(means.policy, self._switches, means.draw)
        fits = means.clock.monotonic() + pause < self._deadline
        if not fits or not means.retry_budget.take():
            metadata = {"provider": switched.to_provider, "kind": switched.reason}
            raise unavailable(self._plan, metadata)
        return pause

    def _restarts_after_break(self, step: Step, failure: ProviderError) -> bool:
        """Return whether the answer starts again. Raises ProviderUnavailable if it fails."""
        request = self._request
        policy = request.mid_stream_policy or self._means.policy.mid_stream_policy
        if policy is MidStreamPolicy.CONTINUE and request.form is not AnswerForm.TEXT:
            # A model that must answer in JSON can only write a whole document.
            policy = MidStreamPolicy.RESTART
        self._switches += 1
        gives_up = policy is MidStreamPolicy.FAIL and bool(self._sent)
        # A call of a tool may have been acted upon; it cannot be taken back.
        if gives_up or self._sent_tool_call or self._switches > self._means.policy.max_switches:
            metadata = {"provider": step.model.provider, "kind": failure.kind.value}
            raise unavailable(self._plan, metadata)
        restarts = policy is MidStreamPolicy.RESTART and bool(self._sent)
        if restarts:
            self._sent.clear()
        return restarts

    def _drop_first_step(self, failure: ProviderError) -> None:
        step = self._steps.popleft()
        match failure.treatment:
            case Treatment.GIVE_UP:
                self._steps.clear()
            case Treatment.LARGER_CONTEXT:
                known = step.model.context_token_count
                self._steps = deque(
                    each for each in self._steps if each.model.context_token_count > known
                )
            case _:
                pass

    async def _report(self, emit: Emit) -> None:
        while self.unreported:
            await emit(AttemptEnded(self.unreported[0]))
            del self.unreported[0]

    async def _end(
        self, live: LiveAttempt, outcome: AttemptOutcome, error: ProviderError | None = None
    ) -> Attempt:
        # Booked before the connection is closed: a cancel in between loses no booking.
        attempt = live.book(outcome, error)
        permit = next(permit for each, permit in self._live if each is live)
        self._live.remove((live, permit))
        self.unreported.append(attempt)
        self._means.routes.leave(permit, attempt, error)
        await live.aclose()
        return attempt

    async def _cancel_all(self) -> None:
        while self._live:
            live, _ = self._live[-1]
            await self._end(live, AttemptOutcome.CANCELLED)
