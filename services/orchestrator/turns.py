"""What the orchestrator does for its callers."""

from dataclasses import dataclass

from services.kit.clock import Clock
from services.orchestrator.deadline import Deadline
from services.orchestrator.keys import Keyring
from services.orchestrator.prompting import Prompts
from services.orchestrator.rating import Rating
from services.orchestrator.request import TurnRequest
from services.orchestrator.turn import Stages, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Makes turns and takes ratings of them."""

    stages: Stages
    keyring: Keyring
    prompts: Prompts
    clock: Clock
    default_deadline_seconds: float
    max_deadline_seconds: float

    def new(self, request: TurnRequest, *, secret: str, deadline_seconds: float | None) -> Turn:
        """Return a turn that has *deadline_seconds* from now, or the default."""
        return Turn(self.stages, request, secret=secret, deadline=self._deadline(deadline_seconds))

    async def rate(self, rating: Rating, *, secret: str, deadline_seconds: float | None) -> None:
        """
        Record a rating of a turn of the key's tenant.

        Raises InvalidArgument, NotFound, and what Keyring.principal raises.
        """
        deadline = self._deadline(deadline_seconds)
        principal = await self.keyring.principal(secret, deadline)
        await self.prompts.rate(
            request_id=rating.request_id,
            tenant_id=principal.subject.tenant_id,
            stars=rating.on_scale(),
            comment=rating.comment,
            timeout_seconds=deadline.timeout(),
        )

    def _deadline(self, seconds: float | None) -> Deadline:
        asked = self.default_deadline_seconds if seconds is None else seconds
        return Deadline(self.clock, min(asked, self.max_deadline_seconds))
