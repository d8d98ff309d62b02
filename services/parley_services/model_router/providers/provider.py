"""The port to whoever runs models: one interface, an adapter for each kind of API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.message import ToolCall
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.reported_usage import ReportedUsage


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Text of the model's reasoning; not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDone:
    """A whole call of a tool."""

    call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A token that might have stood at a place."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """How probable a token was: natural logarithms, 0 or less."""

    token: str
    logprob: float
    top: tuple[Alternative, ...] = ()
    """The most probable tokens at its place."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log probabilities of tokens of the answer, in order."""

    tokens: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class Alive:
    """Bytes came of which nothing can be passed on yet."""

    wrote: bool
    """Whether the model wrote: arguments of a tool call. Else it was a comment, a ping or half
    a frame, by which the provider only keeps the connection open."""


WROTE: Final = Alive(wrote=True)
PINGED: Final = Alive(wrote=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of an answer."""

    finish_reason: FinishReason
    """OTHER where the provider's word for it is not known: the answer may not be whole."""
    provider_reason: str = field(default="", compare=False)
    """The provider's own word."""


ProviderEvent: TypeAlias = TextDelta | ReasoningDelta | ToolCallDone | Logprobs | Alive | Finished


class Api(StrEnum):
    """By which of its APIs a server of OpenAI's kind is asked for a model."""

    CHAT_COMPLETIONS = "chat_completions"
    RESPONSES = "responses"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """What an adapter must know of a model in order to ask it."""

    name: str
    """The model, as the provider calls it."""
    max_output_token_count: int = 0
    """The most output tokens of the model; 0 is unknown."""
    api: Api = Api.CHAT_COMPLETIONS
    """Of meaning only to providers that have both."""
    takes_sampling: bool = True
    """Whether temperature, top_p and stop may be sent; reasoning models refuse them."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Fields that the operator adds to each request, as the provider documents them."""
    behaviour: str = ""
    """The failure of a simulated model, as `overloaded`; empty makes it answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """One call to a provider."""

    model: ModelTraits
    request: GenerationRequest
    api_key: str = ""
    """The key to use; empty for a provider that needs none."""
    attempt_number: int = 1


class ProviderStream(Protocol):
    """
    An answer that is being received. Used by one task at a time.

    `usage`, `unfinished` and `provider_request_id` hold what the provider has said so far,
    also after a failure.
    """

    @property
    def usage(self) -> ReportedUsage | None: ...

    @property
    def unfinished(self) -> str:
        """What the model wrote and no event has carried: arguments of calls that are not whole."""
        ...

    @property
    def provider_request_id(self) -> str: ...

    async def read(self) -> Sequence[ProviderEvent]:
        """
        Return the next events, at least one; the last of all is `Finished`.

        What came in one piece from the network is returned in one piece, with adjacent
        text joined; `Alive` where it holds nothing to pass on. Once the provider has said why
        the answer ended, its usage and its end are waited for a short while only, and whatever
        happens in it, the answer is whole. Raises ProviderError when the stream breaks or ends
        before. Not to be called after `Finished` or an error.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back, or close it if the answer has not ended."""
        ...


class Provider(Protocol):
    """Asks the models of one API."""

    async def open(self, call: ProviderCall) -> ProviderStream:
        """
        Send the request and return the answer once the provider has accepted it.

        Raises ProviderError. On cancel the connection is closed.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
