"""Whether an earlier answer serves a turn, and whether this turn's answer may serve later ones."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import AttemptKind, AttemptOutcome
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.admission.admission import Admitted
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.generate.shared_generation import Flight, Generated
from parley_services.orchestrator.prompt.prompting import Prompt
from parley_services.orchestrator.reuse.coalescing import (
    MAX_LEASE_SECONDS,
    Coalescing,
    Found,
    Held,
    Vacant,
)
from parley_services.orchestrator.reuse.partition import Circumstances, Partition
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values import CacheMode, Hit


class Cache(Protocol):
    """The semantic cache, as a turn sees it."""

    async def lookup(
        self,
        partition: Partition,
        text: str,
        *,
        request_id: str,
        is_fallback: bool,
        lease_seconds: float,
        timeout_seconds: float,
    ) -> Found:
        """
        Look for an answer; without one, take its lease for *lease_seconds* if that is above 0.

        Raises DependencyUnavailable or DeadlineExceeded.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A turn's place in the cache, and what it may do there."""

    partition: Partition
    text: str
    may_read: bool
    may_write: bool
    extra_cacheable: frozenset[ExtraCacheable]
    """Answers that its template keeps though they are not kept by default."""
    flight_key: bytes | None
    """What an identical turn in flight has too; None where none may be joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """The stage of a turn that looks for an earlier answer."""

    cache: Cache
    coalescing: Coalescing
    lookup_timeout_seconds: float

    def slot(self, admitted: Admitted, prompt: Prompt) -> Slot:
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
            fingerprint=Circumstances(
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
        as_asked = admitted.lease.reservation.decision is BudgetDecision.ALLOW
        alone = (
            not shareable
            or not as_asked
            or turn.cache_mode is CacheMode.REFRESH
            # Its answer may hold this user's own words again.
            or bool(admitted.placeholders)
        )
        return Slot(
            partition=partition,
            text=turn.text,
            may_read=shareable and turn.cache_mode is not CacheMode.REFRESH,
            may_write=shareable
            and (as_asked or ExtraCacheable.DOWNGRADED in prompt.extra_cacheable),
            extra_cacheable=prompt.extra_cacheable,
            flight_key=None if alone else partition.key(f"{turn.mid_stream_policy:d} {turn.text}"),
        )

    async def lookup(
        self, slot: Slot, deadline: Deadline, trace: Trace, *, is_in_flight: Callable[[], bool]
    ) -> Hit | None:
        """
        Return an earlier answer that serves the turn. Without the cache there is none.

        Nor is there one yet where *is_in_flight* says that an identical turn of this replica is
        under way. Where another replica writes the answer, wait for it a while.
        """
        if not slot.may_read or is_in_flight():
            return None
        lease_seconds = 0.0
        if slot.flight_key is not None and self.coalescing.wait_seconds:
            lease_seconds = deadline.timeout(MAX_LEASE_SECONDS)

        async def look() -> Found:
            found = await self._look(slot, deadline, trace, lease_seconds=lease_seconds)
            if isinstance(found, Vacant) and found.lease_id and slot.flight_key is not None:
                self.coalescing.note(slot.flight_key, slot.partition.tenant_id, found.lease_id)
            return found

        with trace.stage("cache"), _without(trace):
            found = await look()
            if isinstance(found, Held) and slot.flight_key is not None:
                found = await self.coalescing.wait(slot.flight_key, look, is_in_flight=is_in_flight)
            if isinstance(found, Hit):
                return found
        return None

    async def fallback(self, slot: Slot, deadline: Deadline, trace: Trace) -> Hit | None:
        """Return an answer at a lower bar, since no model can be reached."""
        if not slot.may_read:
            return None
        with trace.stage("cache"), _without(trace):
            found = await self._look(slot, deadline, trace, is_fallback=True)
            if isinstance(found, Hit):
                return found
        return None

    async def _look(
        self,
        slot: Slot,
        deadline: Deadline,
        trace: Trace,
        *,
        is_fallback: bool = False,
        lease_seconds: float = 0.0,
    ) -> Found:
        return await self.cache.lookup(
            slot.partition,
            slot.text,
            request_id=trace.request_id,
            is_fallback=is_fallback,
            lease_seconds=lease_seconds,
            timeout_seconds=deadline.timeout(self.lookup_timeout_seconds),
        )


def may_be_given_again(generated: Generated, flight: Flight, slot: Slot, trace: Trace) -> bool:
    """
    Say whether an answer may be kept in *slot*.

    It may if it ended as the model wanted, after the output guard passed, and is what its
    template and model would always give, or is of a kind that the template keeps all the
    same. Never one that called tools, since a call is not given again, and none that was
    written while the guardrails were away.
    """
    fell_back = any(
        attempt.outcome is AttemptOutcome.SUCCEEDED
        and attempt.kind in (AttemptKind.FALLBACK, AttemptKind.CONTINUATION, AttemptKind.HEDGE)
        for attempt in generated.attempts
    )
    away = {each.component for each in trace.degradations}
    return (
        slot.may_write
        and generated.finish_reason is FinishReason.STOP
        and bool(generated.cacheable_text)
        and (not fell_back or ExtraCacheable.DOWNGRADED in slot.extra_cacheable)
        and "guardrails" not in away
        and (not away or ExtraCacheable.DEGRADED in slot.extra_cacheable)
        and not flight.called_tools
    )


@contextmanager
def _without(trace: Trace) -> Iterator[None]:
    """Go on without the cache while it is away."""
    try:
        yield
    except DependencyUnavailable:
        trace.degrade("semantic_cache", "The answer is not looked up in the cache.")
