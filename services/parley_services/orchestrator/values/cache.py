"""What a turn and the semantic cache tell each other."""

from dataclasses import dataclass
from datetime import datetime

from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Everything but the text that must be equal for an answer to be reused."""

    tenant_id: str
    user_id: str
    template: str
    template_version: int
    model_class: str
    fingerprint: bytes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacant:
    """There is no answer, and no other replica is known to write one."""

    lock_id: str = ""
    """The lock that the lookup took; empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """There is no answer yet: another replica writes it."""


Found = Hit | Vacant | Held


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenHit:
    """A cached answer that a turn got."""

    request_id: str
    tenant_id: str
    entry_id: str
    probability: float
