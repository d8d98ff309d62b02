"""What a turn asks of the model router, and the events it gets back."""

from dataclasses import dataclass, field

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import Attempt, AttemptKind, MidStreamPolicy
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    SamplingParameters,
    Tool,
    ToolCall,
    ToolChoice,
)
from parley_services.kit.chat.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One request for an answer. The last message is the turn's."""

    request_id: str
    subject: Subject
    model: str
    system_text: str
    messages: tuple[Message, ...]
    parameters: SamplingParameters
    response_format: ResponseFormat
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    mid_stream_policy: MidStreamPolicy = MidStreamPolicy.UNSPECIFIED
    kind: AttemptKind = AttemptKind.PRIMARY
    first_attempt_number: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChosen:
    """The route of an attempt. Said again of the one that goes on after a hedge."""

    provider: str
    model: str
    attempt_number: int
    is_hedge: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Text of the model's reasoning. It is paid for, but not shown."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallMade:
    """A whole call of a tool."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """A call to a provider is over, well or not."""

    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSwitched:
    """Another route goes on."""

    from_model: str
    to_model: str
    to_provider: str
    reason: str
    restarts: bool
    attempt_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEnded:
    """The answer is complete."""

    finish_reason: FinishReason
    provider: str
    model: str


RouterEvent = (
    RouteChosen | Text | Reasoning | ToolCallMade | AttemptEnded | RouteSwitched | AnswerEnded
)


class AttemptsLost(Exception):
    """
    Carries the attempts of a call that failed, which no event could bring any more.

    Raised as the cause of the error that ends `Router.generate`.
    """

    def __init__(self, attempts: tuple[Attempt, ...]) -> None:
        super().__init__(f"{len(attempts)} attempts")
        self.attempts = attempts
