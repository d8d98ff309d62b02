"""
The nouns of a turn. Imports neither grpc nor protobuf.

The enums carry the numbers of their namesakes in `parley.chat.v1`, so that the
edge converts by number; a contract test proves the two equal.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Self

from parley_services.kit.models.prices import TokenUsage


class WireEnum(IntEnum):
    """An enum that comes over the wire, where newer clients may send newer numbers."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls(0)


class Role(WireEnum):
    """Who speaks in a conversation."""

    UNSPECIFIED = 0
    SYSTEM = 1
    USER = 2
    ASSISTANT = 3
    TOOL = 4


class ToolChoiceMode(WireEnum):
    """How the model may choose among the tools."""

    UNSPECIFIED = 0
    AUTO = 1
    NONE = 2
    REQUIRED = 3
    NAMED = 4


class ResponseFormatType(WireEnum):
    """The form of an answer."""

    UNSPECIFIED = 0
    TEXT = 1
    JSON_OBJECT = 2
    JSON_SCHEMA = 3


class FinishReason(WireEnum):
    """Why an answer ended."""

    UNSPECIFIED = 0
    STOP = 1
    LENGTH = 2
    TOOL_CALL = 3
    CONTENT_FILTER = 4
    REFUSAL = 5
    BUDGET = 6


class Stage(WireEnum):
    """Where a guardrail looked."""

    UNSPECIFIED = 0
    INPUT = 1
    OUTPUT = 2
    CONTEXT = 3


class Action(WireEnum):
    """What a guardrail did about a finding."""

    UNSPECIFIED = 0
    FLAG = 1
    REDACT = 2
    BLOCK = 3
    RESTORE = 4


class Severity(WireEnum):
    """How bad a finding is."""

    UNSPECIFIED = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class AnswerSource(WireEnum):
    """Where an answer comes from."""

    UNSPECIFIED = 0
    MODEL = 1
    CACHE_EXACT = 2
    CACHE_SEMANTIC = 3
    CACHE_FALLBACK = 4
    COALESCED = 5


class CacheMode(WireEnum):
    """Whether an earlier answer may be reused."""

    UNSPECIFIED = 0
    DEFAULT = 1
    BYPASS = 2
    REFRESH = 3


class CacheScope(WireEnum):
    """Who may share a cached answer."""

    UNSPECIFIED = 0
    TENANT = 1
    USER = 2
    NONE = 3


class CacheAlso(WireEnum):
    """Answers that are not cached unless the template says so."""

    UNSPECIFIED = 0
    DOWNGRADED = 1
    """Written by another model than the one asked for: a budget policy's cheaper one, or one
    that the router fell back on, hedged with, or went on with."""
    DEGRADED = 2
    """Written while a service was away, but not the guardrails."""
    TOOLS = 3
    """Written by a model that was offered tools and called none."""


class FailoverMode(WireEnum):
    """What happens when a provider fails after text was sent."""

    UNSPECIFIED = 0
    CONTINUE = 1
    RESTART = 2
    FAIL = 3


class FormatOutcome(WireEnum):
    """How a JSON answer came to be valid."""

    UNSPECIFIED = 0
    VALID = 1
    REPAIRED = 2


class BudgetDecision(WireEnum):
    """What the budget policy lets a turn do."""

    UNSPECIFIED = 0
    ALLOW = 1
    DOWNGRADE = 2
    CACHE_FIRST = 3
    CACHE_ONLY = 4


class InputSource(WireEnum):
    """Where an input text comes from."""

    UNSPECIFIED = 0
    USER = 1
    HISTORY_USER = 2
    HISTORY_ASSISTANT = 3
    VARIABLE = 4
    DOCUMENT = 5
    TOOL = 6


class AttemptKind(WireEnum):
    """What a call to a provider is for."""

    UNSPECIFIED = 0
    PRIMARY = 1
    RETRY = 2
    FALLBACK = 3
    HEDGE = 4
    CONTINUATION = 5
    REPAIR = 6
    SHADOW = 7
    EMBEDDING = 8


class AttemptOutcome(WireEnum):
    """How a call to a provider ended."""

    UNSPECIFIED = 0
    SUCCEEDED = 1
    FAILED = 2
    CUT = 3
    CANCELLED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who a turn is for. Each level has limits and budgets of its own."""

    tenant_id: str
    team_id: str = ""
    user_id: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's call of a tool, whole."""

    id: str
    name: str
    arguments_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the model may call."""

    name: str
    description: str = ""
    parameters_json_schema: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """How the model may choose among the tools."""

    mode: ToolChoiceMode = ToolChoiceMode.UNSPECIFIED
    tool_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str = ""
    image_urls: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParameters:
    """How an answer is drawn. None is the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_token_count: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None

    def over(self, base: "SamplingParameters") -> "SamplingParameters":
        """Return these parameters, filled up from *base* where they say nothing."""
        return SamplingParameters(
            temperature=base.temperature if self.temperature is None else self.temperature,
            top_p=base.top_p if self.top_p is None else self.top_p,
            max_output_token_count=(
                base.max_output_token_count
                if self.max_output_token_count is None
                else self.max_output_token_count
            ),
            stop_sequences=self.stop_sequences or base.stop_sequences,
            seed=base.seed if self.seed is None else self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFormat:
    """The form an answer must have."""

    type: ResponseFormatType = ResponseFormatType.UNSPECIFIED
    json_schema: str = ""

    def over(self, base: "ResponseFormat") -> "ResponseFormat":
        """Return this form, or *base* where it says nothing."""
        return base if self.type is ResponseFormatType.UNSPECIFIED else self

    @property
    def is_json(self) -> bool:
        """Whether the answer must be JSON."""
        return self.type in (ResponseFormatType.JSON_OBJECT, ResponseFormatType.JSON_SCHEMA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a guardrail rule found. Spans count Unicode code points."""

    rule_id: str
    stage: Stage
    action: Action
    severity: Severity
    category: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """A placeholder and what it stands for. Never logged, never cached."""

    placeholder: str
    original: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to a provider, with what it used."""

    number: int
    provider: str
    model: str
    kind: AttemptKind
    outcome: AttemptOutcome
    error_kind: str = ""
    usage: TokenUsage = field(default_factory=TokenUsage)
    cost_nano_usd: int = 0
    price_version: str = ""
    first_token_seconds: float | None = None
    duration_seconds: float = 0.0
    provider_request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """An answer that may be given again. Its text has placeholders in place."""

    text: str
    provider: str
    model: str
    usage: TokenUsage
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


def total_usage(attempts: tuple[Attempt, ...]) -> TokenUsage:
    """Return the sum of what *attempts* used."""
    return TokenUsage(
        input_token_count=sum(each.usage.input_token_count for each in attempts),
        cached_input_token_count=sum(each.usage.cached_input_token_count for each in attempts),
        cache_write_token_count=sum(each.usage.cache_write_token_count for each in attempts),
        output_token_count=sum(each.usage.output_token_count for each in attempts),
        reasoning_token_count=sum(each.usage.reasoning_token_count for each in attempts),
        estimated=any(each.usage.estimated for each in attempts),
    )
