"""What a caller asks the router for. Imports neither grpc nor protobuf."""

from dataclasses import dataclass, field

from parley_services.kit.chat.attempt import AttemptKind, MidStreamPolicy
from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    SamplingParameters,
    Tool,
    ToolChoice,
)
from parley_services.kit.chat.subject import Subject
from parley_services.kit.models.tokens import count_input


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One call of `Generate`."""

    request_id: str
    messages: tuple[Message, ...]
    subject: Subject = field(default_factory=Subject)
    model: str = ""
    """A model, a group or `auto`; empty is the default group."""
    system_text: str = ""
    parameters: SamplingParameters = field(default_factory=SamplingParameters)
    response_format: ResponseFormat = field(default_factory=ResponseFormat)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    mid_stream_policy: MidStreamPolicy = MidStreamPolicy.UNSPECIFIED
    """UNSPECIFIED is the operator's setting."""
    kind: AttemptKind = AttemptKind.PRIMARY
    first_attempt_number: int = 1
    max_attempt_count: int = 0
    """How many calls to providers may be made; 0 is as many as the settings allow."""
    top_logprob_count: int | None = None
    """How many other tokens' log probabilities are asked for at each place, 0 to 20; None
    asks for none at all."""
    input_token_count: int | None = None
    """The caller's own count of what is sent; None leaves the counting to the router."""

    @property
    def has_images(self) -> bool:
        """Whether the model must be able to see."""
        return any(message.image_urls for message in self.messages)

    def count_input(self, model: str) -> int:
        """Return how many input tokens the request sends to *model*, the provider's name."""
        return count_input(
            model=model,
            system_text=self.system_text,
            messages=self.messages,
            tools=self.tools,
            response_format=self.response_format,
        ).token_count
