"""What must be written after a turn, wherever the turn goes and however it ends."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.message import ResponseFormat
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.orchestrator.events import Completed, FormatOutcome
from parley_services.orchestrator.values.cache import CachedAnswer, Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a turn used. Without attempts and without a source it only ends the reservation."""

    request_id: str
    reservation_id: str
    subject: Subject
    attempts: tuple[Attempt, ...]
    source: AnswerSource
    saved_cost_nano_usd: int
    template: str
    template_version: int
    tags: dict[str, str]
    end_time: datetime
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What was said in a turn, with placeholders in place."""

    input_text: str
    output_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a turn ended, for the prompt version that served it."""

    request_id: str
    subject: Subject
    template: str
    template_version: int
    experiment_id: str
    arm: str
    end_time: datetime
    latency_seconds: float
    model: str = ""
    finish_reason: FinishReason = FinishReason.UNSPECIFIED
    error_reason: str = ""
    guardrail_blocked: bool = False
    format_failed: bool = False
    source: AnswerSource = AnswerSource.UNSPECIFIED
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int = 0
    first_delta_seconds: float | None = None
    texts: Texts | None = None
    """Only for tenants that want theirs kept."""

    def of(self, completed: Completed) -> "Outcome":
        """Return this outcome with what *completed* says."""
        return replace(
            self,
            model=completed.model,
            finish_reason=completed.finish_reason,
            guardrail_blocked=completed.finish_reason is FinishReason.CONTENT_FILTER,
            format_failed=completed.format_outcome is FormatOutcome.REPAIRED,
            source=completed.source,
            usage=completed.usage,
            cost_nano_usd=completed.cost_nano_usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowOutcome:
    """How an arm did that ran beside an answer, and that answer, to compare the two."""

    outcome: Outcome
    output_text: str
    answer: Outcome
    """The turn's own outcome."""
    answer_text: str
    input_text: str
    """Empty unless the tenant wants its texts kept."""
    response_format: ResponseFormat
    """What the turn asked for in place of its version's form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """An answer that may be given again."""

    request_id: str
    partition: Partition
    text: str
    answer: CachedAnswer
    lock_id: str = ""
    """The generation lock under which it was made, to be released; empty without one."""


Record = Settlement | Outcome | ShadowOutcome | NewAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTurn:
    """A turn for which money is about to be set aside."""

    request_id: str
    reservation_id: str
    subject: Subject
    last_time: datetime
    """When it is over at the latest."""
