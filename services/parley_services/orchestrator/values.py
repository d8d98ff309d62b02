"""The nouns of a turn that no other service has."""

from dataclasses import dataclass
from datetime import datetime

from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.usage import Usage
from parley_services.kit.chat.wire_enum import WireEnum


class CacheMode(WireEnum):
    """Whether an earlier answer may be reused."""

    UNSPECIFIED = 0
    DEFAULT = 1
    BYPASS = 2
    REFRESH = 3


class FormatOutcome(WireEnum):
    """How a JSON answer came to be valid."""

    UNSPECIFIED = 0
    VALID = 1
    REPAIRED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """An answer that may be given again. Its text has placeholders in place."""

    text: str
    provider: str
    model: str
    usage: Usage
    cost_nano_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An answer that the cache offers."""

    entry_id: str
    source: AnswerSource
    similarity: float
    probability: float
    """That the answer serves the turn too, 0 to 1."""
    answer: CachedAnswer
    create_time: datetime
    age_seconds: float
