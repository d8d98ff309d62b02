"""Whether an earlier answer serves a turn, and whether this turn's answer may serve later ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import AttemptKind, AttemptOutcome
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.admission.admission import AdmittedTurn
from parley_services.orchestrator.admission.request import CacheMode
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.events import TurnStage
from parley_services.orchestrator.generate.shared_generation import Generated, SharedGeneration
from parley_services.orchestrator.ports import Cache
from parley_services.orchestrator.reuse.coalescing import MAX_LOCK_SECONDS, Coalescing
from parley_services.orchestrator.reuse.partition import FingerprintInputs, coalescing_key
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.cache import Found, Held, Hit, Partition, Vacant
from parley_services.orchestrator.values.prompts import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlan:
    """A turn's place in the cache, and what it may do there."""

    partition: Partition
    text: str
    may_read: bool
    may_write: bool
    extra_cacheable: frozenset[ExtraCacheable]
    """Answers that its template keeps though they are not kept by default."""
    coalescing_key: bytes | None
    """What an identical turn that is under way has too; None where none may be joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """The stage of a turn that looks for an earlier answer."""

    cache: Cache
    coalescing: Coalescing
    lookup_timeout_seconds: float

    def plan(self, admitted: AdmittedTurn, prompt: Prompt) -> CachePlan:
        """
        Return the turn's place in the cache.

        Unless its template says otherwise, an answer is kept only where the turn ran as asked:
        not with tools, whose answers depend on the world, and not under a budget policy, which
        lowers their quality. What the template says is part of its version, and so of the
        partition: no turn gets such an answer whose own version does not keep them.
        """
        turn, subject = admitted.request, admitted.subject
        partition = Partition(
            tenant_id=subject.tenant_id,
            user_id=subject.user_id if prompt.cache_scope is CacheScope.USER else "",
            template=prompt.template,
            template_version=prompt.version,
            model_class=prompt.model,
            fingerprint=FingerprintInputs(
                system_text=prompt.system_text,
                history=turn.history,
                variables=turn.variables,
                documents=turn.context_documents,
                parameters=prompt.parameters,
                tools=turn.tools,
                tool_choice=turn.tool_choice,
                response_format=prompt.response_format,
            ).fingerprint(),
        )
        shareable = (
            prompt.cache_scope is not CacheScope.NONE
            and turn.cache_mode is not CacheMode.BYPASS
            and (not turn.tools or ExtraCacheable.TOOLS in prompt.extra_cacheable)
        )
        as_asked = admitted.handle.reservation.decision is BudgetDecision.ALLOW
        alone = (
            not shareable
            or not as_asked
            or turn.cache_mode is CacheMode.REFRESH
            # Its answer may hold this user's own words again.
            or bool(admitted.placeholders)
        )
        return CachePlan(
            partition=partition,
            text=turn.text,
            may_read=shareable and turn.cache_mode is not CacheMode.REFRESH,
            may_write=shareable
            and (as_asked or ExtraCacheable.DOWNGRADED in prompt.extra_cacheable),
            extra_cacheable=prompt.extra_cacheable,
            coalescing_key=None
            if alone
            else coalescing_key(partition, turn.mid_stream_policy.name, turn.text),
        )

    async def lookup(
        self, plan: CachePlan, deadline: Deadline, trace: Trace, *, is_in_flight: Callable[[], bool]
    ) -> Hit | None:
        """
        Return an earlier answer that serves the turn. Without the cache there is none.

        Nor is there one yet where *is_in_flight* says that an identical turn of this replica is
        under way. Where another replica writes the answer, wait for it a while.
        """
        if not plan.may_read or is_in_flight():
            return None
        lock_seconds = 0.0
        if plan.coalescing_key is not None and self.coalescing.wait_seconds:
            lock_seconds = deadline.timeout(MAX_LOCK_SECONDS)

        async def look() -> Found:
            found = await self._look(plan, deadline, trace, lock_seconds=lock_seconds)
            if isinstance(found, Vacant) and found.lock_id and plan.coalescing_key is not None:
                self.coalescing.note(plan.coalescing_key, plan.partition.tenant_id, found.lock_id)
            return found

        with trace.stage(TurnStage.CACHE), _without(trace):
            found = await look()
            if isinstance(found, Held) and plan.coalescing_key is not None:
                found = await self.coalescing.wait(
                    plan.coalescing_key, look, is_in_flight=is_in_flight
                )
            if isinstance(found, Hit):
                return found
        return None

    async def fallback(self, plan: CachePlan, deadline: Deadline, trace: Trace) -> Hit | None:
        """Return an answer at a lower bar, since no model can be reached."""
        if not plan.may_read:
            return None
        with trace.stage(TurnStage.CACHE), _without(trace):
            found = await self._look(plan, deadline, trace, is_fallback=True)
            if isinstance(found, Hit):
                return found
        return None

    async def _look(
        self,
        plan: CachePlan,
        deadline: Deadline,
        trace: Trace,
        *,
        is_fallback: bool = False,
        lock_seconds: float = 0.0,
    ) -> Found:
        return await self.cache.lookup(
            plan.partition,
            plan.text,
            request_id=trace.request_id,
            is_fallback=is_fallback,
            lock_seconds=lock_seconds,
            timeout_seconds=deadline.timeout(self.lookup_timeout_seconds),
        )


def may_be_given_again(
    generated: Generated, generation: SharedGeneration, plan: CachePlan, trace: Trace
) -> bool:
    """
    Say whether an answer may be kept in *plan*.

    It may if it ended as the model wanted, after the output guard passed, and is what its
    template and model would always give, or is of a kind that the template keeps all the
    same. Never one that called tools, since a call is not given again, and none that was
    written while the guardrails were unavailable.
    """
    fell_back = any(
        attempt.outcome is AttemptOutcome.SUCCEEDED
        and attempt.kind in (AttemptKind.FALLBACK, AttemptKind.CONTINUATION, AttemptKind.HEDGE)
        for attempt in generated.attempts
    )
    unavailable = {each.component for each in trace.degradations}
    return (
        plan.may_write
        and generated.finish_reason is FinishReason.STOP
        and bool(generated.cacheable_text)
        and (not fell_back or ExtraCacheable.DOWNGRADED in plan.extra_cacheable)
        and "guardrails" not in unavailable
        and (not unavailable or ExtraCacheable.DEGRADED in plan.extra_cacheable)
        and not generation.called_tools
    )


@contextmanager
def _without(trace: Trace) -> Iterator[None]:
    """Go on without the cache while it is unavailable."""
    try:
        yield
    except DependencyUnavailable:
        trace.degrade("semantic_cache", "The answer is not looked up in the cache.")
