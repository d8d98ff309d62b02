"""What the cache needs of a store of answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from parley_services.semantic_cache.entry import Candidate, Entry
from parley_services.semantic_cache.partition import Partition
from parley_services.semantic_cache.verify.calibration import Observation

Vector = Sequence[float]
"""One text's embedding. Stores compare by cosine, so its length does not matter."""


class StoreUnavailable(Exception):
    """The store is away, too slow, or refused the call. The message holds no text of users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """
    Entries by indexed fields; all given ones must be equal.

    An empty *tenant_id* means every tenant, which only the cache's own maintenance uses.
    """

    tenant_id: str
    partition: Partition | None = None
    entry_id: str = ""
    template: str = ""
    template_version: int = 0
    tag: str = ""


class AnswerStore(Protocol):
    """
    Keeps entries and finds them by id, by nearness and by indexed fields.

    Every method raises StoreUnavailable if the store is away. None of them decides
    whether an answer may be given: callers check partition and expiry again on what
    comes back. A cancelled write may or may not have happened.
    """

    async def get(self, entry_id: str) -> Entry | None:
        """Return the entry of that id, expired or not, or None."""
        ...

    async def nearest(
        self, vector: Vector, selection: Selection, *, now: float, floor: float, limit: int
    ) -> list[Candidate]:
        """
        Return up to *limit* selected entries that live at *now*, the most similar first.

        Those whose similarity is below *floor* are left out.
        """
        ...

    async def put(self, entry: Entry, vector: Vector | None) -> None:
        """
        Keep *entry*, in place of one with its id.

        Without a *vector* it is found by its id only. Returns when other calls see it.
        """
        ...

    async def learn(self, entry_id: str, observations: Sequence[Observation]) -> None:
        """
        Keep *observations*, one at least, with the entry of that id, in place of others.

        Does nothing if the entry is gone.
        """
        ...

    async def remove(self, selection: Selection) -> int:
        """Remove the selected entries and return how many there were."""
        ...

    async def remove_expired(self, now: float) -> None:
        """Remove the entries of all tenants whose time is over at *now*."""
        ...

    async def remove_oldest(self, selection: Selection, count: int) -> int:
        """Remove up to *count* selected entries, oldest first; return how many."""
        ...

    async def count(self, selection: Selection) -> int:
        """Return how many selected entries there are, expired ones included."""
        ...

    async def byte_count(self) -> int:
        """Return the bytes that the store takes on disk, 0 if it cannot tell."""
        ...

    async def maintain(self) -> None:
        """Write what is pending to disk and tidy up; may take seconds, blocks nobody."""
        ...
