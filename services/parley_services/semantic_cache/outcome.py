"""What a lookup, a store and an explanation answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.semantic_cache.entry import Entry


class Tier(WireEnum):
    """How a hit was found."""

    UNSPECIFIED = 0
    EXACT = 1
    SEMANTIC = 2
    FALLBACK = 3


class MissReason(WireEnum):
    """Why there was no hit."""

    UNSPECIFIED = 0
    NO_CANDIDATE = 1
    REFUSED = 2
    STORE_UNAVAILABLE = 3
    EXPLORE = 4
    NOT_CACHEABLE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An answer that may be given."""

    entry: Entry
    tier: Tier
    similarity: float
    probability: float
    """That the answer serves this text too, 0 to 1."""

    age_seconds: float
    original_text: str = ""
    """Empty unless the tenant's policy shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """No answer that may be given."""

    reason: MissReason
    best_similarity: float = 0.0
    refusal: str = ""
    """Why the best candidate was refused, as `number_changed`."""

    explored_entry_id: str = ""
    """With EXPLORE the entry that learns from the answer to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The answer is kept."""

    entry_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStored:
    """The answer is not fit to be given again."""

    refusal: str
    """One of `not_ended_normally`, `empty_answer`, `time_bound`, `no_user`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateVerdict:
    """A candidate and the verdict on it."""

    entry: Entry
    similarity: float
    probability: float
    refusal: str
    """Empty if it was accepted."""

    features: Mapping[str, float] = field(default_factory=dict)
    original_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a lookup would answer, and what it would look at."""

    outcome: Hit | Miss
    candidates: tuple[CandidateVerdict, ...]
