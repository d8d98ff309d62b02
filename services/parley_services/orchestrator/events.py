"""The events of a turn, in the words of `parley.orchestrator.v1.ChatResponse`."""

from dataclasses import dataclass, field

from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.finding import Finding
from parley_services.kit.chat.message import ToolCall
from parley_services.kit.chat.usage import Usage
from parley_services.kit.chat.wire_enum import WireEnum


class FormatOutcome(WireEnum):
    """How a JSON answer came to be valid."""

    UNSPECIFIED = 0
    VALID = 1
    REPAIRED = 2


class TurnStage(WireEnum):
    """A part of a turn, in the order in which a turn goes through them."""

    UNSPECIFIED = 0
    ADMISSION = 1
    PROMPT = 2
    CACHE = 3
    REPLAY = 4
    HOLD = 5
    GENERATION = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The first event."""

    request_id: str
    template: str
    template_version: int
    arm: str


@dataclass(frozen=True, slots=True)
class Delta:
    """Text to append to what came before."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A whole call of a tool that the caller runs."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Intervened:
    """A guardrail changed or stopped something."""

    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """Another provider or model goes on."""

    from_model: str
    to_model: str
    reason: str
    restarts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """A part of the suite is unavailable, and the turn goes on without it."""

    component: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTiming:
    """How long a stage of the turn took."""

    stage: TurnStage
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The last event of a successful turn."""

    request_id: str
    finish_reason: FinishReason
    source: AnswerSource
    provider: str
    model: str
    template: str
    template_version: int
    arm: str
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int = 0
    saved_cost_nano_usd: int = 0
    cache_similarity: float = 0.0
    cache_age_seconds: float | None = None
    cache_entry_id: str = ""
    findings: tuple[Finding, ...] = ()
    degradations: tuple[Degraded, ...] = ()
    timings: tuple[StageTiming, ...] = ()
    first_delta_seconds: float | None = None
    attempt_count: int = 0
    budget_decision: BudgetDecision = BudgetDecision.ALLOW
    format_outcome: FormatOutcome = FormatOutcome.UNSPECIFIED


Event = Started | Delta | ToolCalled | Intervened | Switched | Degraded | Completed
