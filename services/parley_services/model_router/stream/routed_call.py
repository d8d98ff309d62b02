"""One call of `Generate`: from route to route until an answer is whole."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import assert_never

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import Attempt, AttemptKind, AttemptOutcome, MidStreamPolicy
from parley_services.kit.errors import DeadlineExceeded
from parley_services.model_router.attempt.failures import (
    FailureAction,
    FailureKind,
    ProviderError,
)
from parley_services.model_router.attempt.final_error import final_error, unavailable
from parley_services.model_router.attempt.live_attempt import DeadlinePassed, LiveAttempt
from parley_services.model_router.attempt.open_attempts import OpenAttempts
from parley_services.model_router.attempt.race import first_to_begin
from parley_services.model_router.attempt.retrying import (
    PauseBetweenTries,
    StopAtDeadline,
    pause_seconds,
)
from parley_services.model_router.dependencies import RouterDependencies
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.provider import (
    Alive,
    Finished,
    Logprobs,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)
from parley_services.model_router.route.chain import Plan, Step
from parley_services.model_router.route.route_reason import RouteReason
from parley_services.model_router.stream.continuation import continuation_of
from parley_services.model_router.stream.continuation_dedup import ContinuationDedup
from parley_services.model_router.stream.events import (
    Completed,
    Emit,
    RouteChosen,
    RouterEvent,
    Switched,
)


class RoutedCall:
    """
    Makes one answer. `run` is to be awaited once.

    On cancel the provider's connection is closed, and the attempts that no event has
    reported are in `unreported`.
    """

    def __init__(
        self,
        request: GenerationRequest,
        plan: Plan,
        *,
        deadline: float,
        dependencies: RouterDependencies,
    ) -> None:
        """Know when the answer must be whole: *deadline*, on the monotonic clock."""
        self._request = request
        self._plan = plan
        self._deadline = deadline
        self._dependencies = dependencies
        self._steps = deque(plan.steps)
        self._attempts = OpenAttempts(
            request,
            input_token_count=plan.input_token_count,
            deadline=deadline,
            dependencies=dependencies,
        )
        self._failures: list[tuple[Step, ProviderError]] = []
        self._sent: list[str] = []
        self._sent_tool_call = False
        self._broke = False
        self._switches = 0
        self.is_shadow = request.kind is AttemptKind.SHADOW
        """Whether it is made beside the answers: once, by the first route, and on its own."""
        self._may_hedge = dependencies.hedging is not None and not self.is_shadow

    @property
    def unreported(self) -> Sequence[Attempt]:
        """Attempts that ended and that no event has reported yet."""
        return self._attempts.unreported

    @property
    def request_id(self) -> str:
        """The turn's id."""
        return self._request.request_id

    @property
    def cost_nano_usd(self) -> int:
        """What all attempts that ended cost, in billionths of a US dollar."""
        return self._attempts.cost_nano_usd

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
                    with self._dependencies.pacer.stream():
                        await self._relay(live, emit)
                    return
                except (ProviderError, DeadlinePassed) as caught:
                    failure = caught
                await self._attempts.cancel_all()
                await self._attempts.report(emit)
                switched = self._switch_after(failure)
                pause = self._pause_before(switched)
                await emit(switched)
                if pause:
                    await self._dependencies.sleep(pause)
                announced = True
        finally:
            await self._attempts.cancel_all()

    async def _relay(self, live: LiveAttempt, emit: Emit) -> None:
        """Pass on what *live* writes and how it ends. Raises ProviderError when it breaks."""
        clock, pacer = self._dependencies.clock, self._dependencies.pacer
        dedup = ContinuationDedup("".join(self._sent))
        batch = live.first
        window_seconds = pacer.window_seconds
        gathers = False
        while True:
            last = batch[-1]
            if isinstance(last, Finished) and self._is_in_doubt(last, batch):
                error = ProviderError(FailureKind.UNKNOWN_FINISH)
                await self._attempts.end(live, AttemptOutcome.FAILED, error)
                raise error
            for event in self._passed(batch, dedup):
                await emit(event)
            if isinstance(last, Finished):
                return await self._complete(live, last, emit)
            if gathers:
                # Meanwhile the text waits in the socket's buffer, and costs nothing there.
                await self._dependencies.sleep(window_seconds)
            read_at = clock.monotonic()
            try:
                batch = await live.read()
            except ProviderError as error:
                # What the dedup still holds was not sent, so the next route writes it again.
                self._broke = True
                await self._attempts.end(live, AttemptOutcome.CUT, error)
                raise
            now = clock.monotonic()
            window_seconds = pacer.window_seconds
            # A model that writes more slowly than the window is passed on token by token.
            gathers = now - read_at < window_seconds
            self._attempts.record_progress(live, now=now)

    def _is_in_doubt(self, last: Finished, batch: Iterable[ProviderEvent]) -> bool:
        """Return whether another route had better be asked than an answer passed on."""
        if last.finish_reason is not FinishReason.OTHER or self._sent or self._sent_tool_call:
            return False
        has_output = any(isinstance(event, TextDelta | ToolCallDone) for event in batch)
        return len(self._steps) > 1 or not has_output

    def _passed(
        self, batch: Sequence[ProviderEvent], dedup: ContinuationDedup
    ) -> list[RouterEvent]:
        """Return what of *batch* goes to the caller, neighbouring texts as one."""
        passed: list[RouterEvent] = []
        texts: list[str] = []
        for event in batch:
            if isinstance(event, TextDelta):
                texts.append(event.text)
                continue
            if texts:
                self._pass_text(dedup.feed("".join(texts)), passed)
                texts = []
            match event:
                case ReasoningDelta() | Logprobs():
                    passed.append(event)
                case Alive():
                    pass
                case ToolCallDone():
                    self._sent_tool_call = True
                    passed.append(event)
                case Finished():
                    self._pass_text(dedup.finish(), passed)
                case _:
                    assert_never(event)
        if texts:
            self._pass_text(dedup.feed("".join(texts)), passed)
        return passed

    def _pass_text(self, text: str, passed: list[RouterEvent]) -> None:
        if text:
            self._sent.append(text)
            passed.append(TextDelta(text))

    async def _complete(self, live: LiveAttempt, last: Finished, emit: Emit) -> None:
        attempt = await self._attempts.end(live, AttemptOutcome.SUCCEEDED)
        await self._attempts.report(emit)
        await emit(
            Completed(
                finish_reason=last.finish_reason,
                provider_finish_reason=last.provider_reason,
                provider=attempt.provider,
                model=live.model_name,
                usage=attempt.usage,
                cost_nano_usd=attempt.cost_nano_usd,
            )
        )

    async def _open(self, step: Step, emit: Emit, *, announced: bool) -> LiveAttempt:
        """
        Return an answer of *step* that has begun, after as many tries as are worth it.

        *announced* says that the caller knows of the first try already.
        """
        dependencies, tries = self._dependencies, 0

        async def open_once() -> LiveAttempt:
            nonlocal tries
            tries += 1
            if self.is_shadow:
                permit = dependencies.routes.enter_shadow(step.model)
            else:
                permit = await dependencies.routes.enter(
                    step.model, self._request.subject.tenant_id
                )
            live = self._attempts.begin(
                step, permit, self._kind(is_retry=tries > 1), self._request_now()
            )
            if tries > 1 or not announced:
                reason = RouteReason.RETRY if tries > 1 else self._plan.reason
                await emit(_chosen(live, reason))
            if (hedge := self._hedge_of(step)) is not None:
                return await self._race(live, *hedge, emit)
            try:
                await live.open()
            except ProviderError as error:
                await self._attempts.end(live, AttemptOutcome.FAILED, error)
                raise
            finally:
                await self._attempts.report(emit)
            return live

        retrying = AsyncRetrying(
            sleep=dependencies.sleep,
            stop=(
                stop_after_attempt(1 + dependencies.policy.retries)
                | StopAtDeadline(self._deadline, dependencies.clock)
            ),
            wait=PauseBetweenTries(dependencies.policy, dependencies.draw),
            retry=retry_if_exception(lambda error: self._is_worth_a_retry(step, error)),
            reraise=True,
        )
        live: LiveAttempt = await retrying(open_once)
        return live

    def _hedge_of(self, step: Step) -> tuple[Step, float] | None:
        """Return who is asked beside *step* and after how many seconds, None if nobody is."""
        hedging = self._dependencies.hedging
        if hedging is None or not self._may_hedge or self._sent:
            return None
        second = hedging.second([each for each in self._steps if each is not step])
        if second is None:
            return None
        wait = hedging.wait_seconds(step, second, deadline=self._deadline)
        return None if wait is None else (second, wait)

    async def _race(
        self, first: LiveAttempt, second: Step, wait_seconds: float, emit: Emit
    ) -> LiveAttempt:
        """Return the one of *first* and its hedge that begins, and turn to its step."""
        hedging, hedge = self._dependencies.hedging, None
        assert hedging is not None

        async def open_second() -> LiveAttempt | None:
            nonlocal hedge
            if not self._attempts.may_begin or (permit := hedging.permit(second)) is None:
                return None
            self._may_hedge = False
            hedge = self._attempts.begin(second, permit, AttemptKind.HEDGE, self._request)
            await emit(_chosen(hedge, RouteReason.HEDGE))
            return hedge

        try:
            begun = await first_to_begin(
                first,
                after=self._dependencies.sleep(wait_seconds),
                open_second=open_second,
                attempts=self._attempts,
            )
        finally:
            await self._attempts.report(emit)
        if hedge is None:
            return begun
        await self._attempts.cancel_all(but=begun)
        await self._attempts.report(emit)
        if begun is hedge:
            from_model = first.model_name
            # Else only its quick answers would be known, and hedges would come ever earlier.
            self._dependencies.routes.record_first_token(self._steps[0].model, first.waited_seconds)
            self._steps.remove(second)
            self._steps.appendleft(second)
            await emit(_switched(from_model, second, "hedge", number=hedge.number))
        else:
            await emit(_chosen(begun, RouteReason.HEDGE_LOST))
        return begun

    def _request_now(self) -> GenerationRequest:
        if not self._sent:
            return self._request
        return continuation_of(self._request, "".join(self._sent))

    def _kind(self, *, is_retry: bool) -> AttemptKind:
        if self.is_shadow:
            return AttemptKind.SHADOW
        if self._sent:
            return AttemptKind.CONTINUATION
        if is_retry:
            return AttemptKind.RETRY
        return AttemptKind.FALLBACK if self._failures else self._request.kind

    def _is_worth_a_retry(self, step: Step, error: BaseException) -> bool:
        if not isinstance(error, ProviderError) or self.is_shadow or not self._attempts.may_begin:
            return False
        match error.action:
            case FailureAction.RETRY:
                asked = error.failure.retry_after_seconds or 0.0
                may = asked <= self._dependencies.policy.max_retry_after_seconds
            case FailureAction.FALLBACK:
                may = len(self._steps) == 1
            case FailureAction.OTHER_KEY:
                # Not a burden on the provider, so the budget does not count it.
                return self._dependencies.routes.has_key(step.model)
            case (
                FailureAction.FALLBACK_NO_RETRY
                | FailureAction.LARGER_CONTEXT
                | FailureAction.GIVE_UP
            ):
                return False
            case _:
                assert_never(error.action)
        return may and self._dependencies.retry_budget.take()

    def _switch_after(self, failure: ProviderError | DeadlinePassed) -> Switched:
        """Turn to the next step and return the event. Raises the call's error if there is none."""
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
        if not self._steps or not self._attempts.may_begin:
            raise final_error(self._failures, self._plan)
        while len(self._steps) > 1 and not self._dependencies.routes.lets_pass(
            self._steps[0].model
        ):
            self._steps.popleft()
        return _switched(
            step.model.name,
            self._steps[0],
            failure.kind.value,
            restarts=restarts,
            number=self._attempts.next_number,
        )

    def _pause_before(self, switched: Switched) -> float:
        """
        Return how long to wait: the route that broke is not asked again at once.

        Raises ProviderUnavailable when there is no time or no budget for that.
        """
        if switched.from_model != switched.to_model:
            return 0.0
        dependencies = self._dependencies
        pause = pause_seconds(dependencies.policy, self._switches, dependencies.draw)
        fits = dependencies.clock.monotonic() + pause < self._deadline
        if not fits or not dependencies.retry_budget.take():
            metadata = {"provider": switched.to_provider, "kind": switched.reason}
            raise unavailable(self._plan, metadata)
        return pause

    def _restarts_after_break(self, step: Step, failure: ProviderError) -> bool:
        """Return whether the answer starts again. Raises ProviderUnavailable if it fails."""
        request = self._request
        policy = request.mid_stream_policy or self._dependencies.policy.mid_stream_policy
        if policy is MidStreamPolicy.CONTINUE and request.response_format.is_json:
            # A model that must answer in JSON can only write a whole document.
            policy = MidStreamPolicy.RESTART
        self._switches += 1
        gives_up = self.is_shadow or (policy is MidStreamPolicy.FAIL and bool(self._sent))
        # A call of a tool may have been acted upon; it cannot be taken back.
        if (
            gives_up
            or self._sent_tool_call
            or self._switches > self._dependencies.policy.max_switches
        ):
            metadata = {"provider": step.model.provider, "kind": failure.kind.value}
            raise unavailable(self._plan, metadata)
        restarts = policy is MidStreamPolicy.RESTART and bool(self._sent)
        if restarts:
            self._sent.clear()
        return restarts

    def _drop_first_step(self, failure: ProviderError) -> None:
        step = self._steps.popleft()
        match failure.action:
            case FailureAction.GIVE_UP:
                self._steps.clear()
            case FailureAction.LARGER_CONTEXT:
                known = step.model.context_token_count
                self._steps = deque(
                    each
                    for each in self._steps
                    if not each.model.context_token_count or each.model.context_token_count > known
                )
            case _:
                pass


def _chosen(live: LiveAttempt, reason: RouteReason) -> RouteChosen:
    return RouteChosen(
        provider=live.provider_name,
        model=live.model_name,
        reason=reason,
        attempt_number=live.number,
    )


def _switched(
    from_model: str, to: Step, reason: str, *, number: int, restarts: bool = False
) -> Switched:
    return Switched(
        from_model=from_model,
        to_model=to.model.name,
        to_provider=to.model.provider,
        reason=reason,
        restarts=restarts,
        attempt_number=number,
    )
