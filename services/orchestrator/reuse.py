"""Whether an earlier answer serves a turn, and whether this turn's answer may serve later ones."""

from dataclasses import dataclass
from typing import Protocol

from services.kit.errors import DependencyUnavailable
from services.orchestrator.admission import Admitted
from services.orchestrator.deadline import Deadline
from services.orchestrator.partition import Circumstances, Partition
from services.orchestrator.prompting import Prompt
from services.orchestrator.trace import Trace
from services.orchestrator.values import BudgetDecision, CacheMode, CacheScope, Hit


class Cache(Protocol):
    """The semantic cache, as a turn sees it."""

    async def lookup(
        self,
        partition: Partition,
        text: str,
        *,
        request_id: str,
        is_fallback: bool,
        timeout_seconds: float,
    ) -> Hit | None:
        """Look for an answer. Raises DependencyUnavailable or DeadlineExceeded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A turn's place in the cache, and what it may do there."""

    partition: Partition
    text: str
    may_read: bool
    may_write: bool
    flight_key: bytes | None
    """What an identical turn in flight has too; None where none may be joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """The stage of a turn that looks for an earlier answer."""

    cache: Cache
    lookup_timeout_seconds: float

    def slot(self, admitted: Admitted, prompt: Prompt) -> Slot:
        """
        Return the turn's place in the cache.

        An answer is kept only where the turn ran as its template says: not with tools, whose
        answers depend on the world, and not under a budget policy, which lowers their quality.
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
                response_format=prompt.response_format,
            ).fingerprint(),
        )
        shareable = (
            prompt.cache_scope is not CacheScope.NONE
            and turn.cache_mode is not CacheMode.BYPASS
            and not turn.tools
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
            may_write=shareable and as_asked,
            flight_key=None if alone else partition.key(f"{turn.failover_mode:d} {turn.text}"),
        )

    async def lookup(
        self, slot: Slot, deadline: Deadline, trace: Trace, *, is_fallback: bool = False
    ) -> Hit | None:
        """Return an earlier answer that serves the turn. Without the cache there is none."""
        if not slot.may_read:
            return None
        with trace.stage("cache"):
            try:
                return await self.cache.lookup(
                    slot.partition,
                    slot.text,
                    request_id=trace.request_id,
                    is_fallback=is_fallback,
                    timeout_seconds=deadline.timeout(self.lookup_timeout_seconds),
                )
            except DependencyUnavailable:
                trace.degrade("semantic_cache", "The answer is not looked up in the cache.")
                return None
