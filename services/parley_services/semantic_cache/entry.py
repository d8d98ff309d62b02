"""An answer and what is kept with it."""

from dataclasses import dataclass, field

from parley_services.kit.chat.usage import Usage
from parley_services.semantic_cache.partition import Partition
from parley_services.semantic_cache.verify.calibration import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model's complete answer, as it may be given again."""

    text: str
    provider: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int = 0
    """What the answer cost when it was made, in billionths of a US dollar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    An answer in the cache.

    Times are seconds since the Unix epoch, since the stores filter by numbers.
    """

    entry_id: str
    partition: Partition
    text: str
    """The text that the answer was written for."""

    answer: Answer
    create_time: float
    expire_time: float
    tags: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = ()
    """What the entry learnt about its answer, oldest first; up to `curve.MAX_OBSERVATIONS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An entry near a text."""

    entry: Entry
    similarity: float
    """Cosine of the two vectors, -1 to 1."""
