"""What the orchestrator does for its callers."""

from contextlib import suppress
from dataclasses import dataclass

from parley_services.kit.clock import Clock
from parley_services.kit.errors import DependencyUnavailable, NotFound
from parley_services.kit.rpc import request_context
from parley_services.orchestrator.admission.key_cache import KeyCache
from parley_services.orchestrator.admission.request import TurnRequest
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.finish.rating import Rating
from parley_services.orchestrator.ports import Cache, Prompts
from parley_services.orchestrator.reuse.hits import verdict
from parley_services.orchestrator.turn import Stages, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnService:
    """Makes turns and takes ratings of them."""

    stages: Stages
    key_cache: KeyCache
    prompts: Prompts
    cache: Cache
    clock: Clock
    default_deadline_seconds: float
    max_deadline_seconds: float

    def new(self, request: TurnRequest, *, secret: str, deadline_seconds: float | None) -> Turn:
        """Return a turn that has *deadline_seconds* from now, or the default."""
        return Turn(self.stages, request, secret=secret, deadline=self._deadline(deadline_seconds))

    async def rate(self, rating: Rating, *, secret: str, deadline_seconds: float | None) -> None:
        """
        Record a rating of a turn of the key's tenant.

        If the turn got a cached answer from this replica lately, the cache is told whether it
        was right, as far as the rating says.

        Raises InvalidArgument, NotFound, and what KeyCache.principal raises.
        """
        request_context.bind(request_id=rating.request_id)
        deadline = self._deadline(deadline_seconds)
        principal = await self.key_cache.principal(secret, deadline)
        request_context.bind(tenant_id=principal.subject.tenant_id)
        tenant_id, stars = principal.subject.tenant_id, rating.on_scale()
        await self.prompts.rate(
            request_id=rating.request_id,
            tenant_id=tenant_id,
            stars=stars,
            comment=rating.comment,
            timeout_seconds=deadline.timeout(),
        )
        correct = verdict(stars)
        if correct is None:
            return
        hit = self.stages.hits.take(tenant_id, rating.request_id)
        if hit is not None:
            with suppress(NotFound, DependencyUnavailable):  # The rating itself is kept.
                await self.cache.report_hit(
                    hit, correct=correct, timeout_seconds=deadline.timeout()
                )

    def _deadline(self, seconds: float | None) -> Deadline:
        asked = self.default_deadline_seconds if seconds is None else seconds
        return Deadline(self.clock, min(asked, self.max_deadline_seconds))
