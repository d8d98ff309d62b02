"""What the registry needs of a store. Imports neither grpc nor protobuf."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from parley_services.prompt_registry.experiments.rollback_records import Rollback
from parley_services.prompt_registry.outcomes.outcome import (
    Evaluation,
    Outcome,
    Rating,
    Tally,
    TallyKey,
    TurnTexts,
)
from parley_services.prompt_registry.templates.template import LabelMove, Template

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some items, and where the next ones begin."""

    items: tuple[T, ...]
    next_position: int | None
    """None on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Templates that were changed, and the revision that this is true of."""

    revision: int
    templates: tuple[Template, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChange:
    """A template as it shall be, and what goes into the history with it."""

    after: Template
    moves: tuple[LabelMove, ...] = ()
    rollbacks: tuple[Rollback, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedOutcome:
    """An outcome and where it counts."""

    outcome: Outcome
    key: TallyKey
    texts: TurnTexts | None = None
    """What was said, redacted, if it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationFilter:
    """Which turns of the evaluation log."""

    template: str = ""
    tenant_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    include_texts: bool = False
    """Whether what was said, and what raters wrote, is read too."""


class TemplateStore(Protocol):
    """
    Keeps templates whole.

    The revision grows by one with every change of any template, and a change and its
    revision become visible together. Every method raises DependencyUnavailable if the
    store is away.
    """

    async def revision(self) -> int:
        """Return the revision; 0 for an empty store."""
        ...

    async def changes(self, after_revision: int) -> Changes:
        """Return every template that was changed after *after_revision*."""
        ...

    async def save(self, before: Template | None, change: TemplateChange) -> int:
        """
        Make *change* of *before*, None for a new template; return the new revision.

        Raises Conflict if the stored template is no longer *before*, or if an experiment has
        the id of another template's. Then nothing is written.
        """
        ...

    async def label_moves(self, template: str, *, position: int, limit: int) -> Page[LabelMove]:
        """Return moves of the template's labels, newest first, from *position* (0: newest)."""
        ...

    async def rollbacks(self, template: str, *, position: int, limit: int) -> Page[Rollback]:
        """Return rollbacks of a template (empty: of all), newest first, from *position*."""
        ...


class OutcomeStore(Protocol):
    """Keeps outcomes, one by one and counted. Raises DependencyUnavailable if it is away."""

    async def record(self, outcomes: Sequence[CountedOutcome]) -> int:
        """
        Add *outcomes* and count them, all or none; return how many were new.

        An outcome whose tenant, request and lane are known already changes nothing.
        """
        ...

    async def rate(self, rating: Rating) -> TallyKey | None:
        """
        Set the rating of a turn, with its comment, and count it in place of an earlier one.

        Return where the turn counts, or None if the tenant has no such turn.
        """
        ...

    async def tallies(self, template: str) -> Mapping[TallyKey, Tally]:
        """Return all counts of *template*."""
        ...

    async def evaluations(
        self, chosen: EvaluationFilter, *, position: int, limit: int
    ) -> Page[Evaluation]:
        """Return turns in the order in which they were recorded, from *position*."""
        ...

    async def forget_evaluations(self, before: datetime, *, limit: int) -> int:
        """
        Delete up to *limit* turns that ended before a time, with their texts; counts stay.

        Return how many turns were deleted.
        """
        ...

    async def forget_texts(
        self, before: datetime, *, tenants: Collection[str] | None, limit: int
    ) -> int:
        """
        Delete the texts and comments of up to *limit* turns.

        Those of turns that ended before a time, and those of tenants not in *tenants*; None
        keeps every tenant's. Return of how many turns they were deleted.
        """
        ...


class StickyStore(Protocol):
    """Keeps first assignments. Raises DependencyUnavailable if it is away."""

    async def keep_assignment(self, experiment_id: str, unit: str, arm: str) -> str:
        """Keep *arm* for *unit* unless one is kept already; return the one that is kept."""
        ...


class RegistryStore(TemplateStore, OutcomeStore, StickyStore, Protocol):
    """All that the registry keeps."""
