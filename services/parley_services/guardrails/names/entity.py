"""What names and addresses are found by: a port, since it takes a model of a language."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class EntityKind(Enum):
    """What something named in a text is."""

    PERSON = "person"
    PLACE = "place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A name in a text."""

    kind: EntityKind
    start: int
    """First character."""

    end: int
    """One past the last character."""

    score: float
    """How sure the finder is, 0 to 1."""


class EntityFinder(Protocol):
    """Finds what is named in a text."""

    def find(self, text: str) -> Sequence[Entity]:
        """
        Return the entities in *text* in any order; they may overlap.

        Called by several threads at once, never by the event loop's: it may take
        milliseconds a page. Raises whatever its model raises; the rules then count as failed.
        """
        ...
