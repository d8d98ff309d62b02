"""What a turn asks of the prompt registry, and what it does without it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.chat.message import ResponseFormat, SamplingParameters
from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.admission.admission import Admitted
from parley_services.orchestrator.admission.request import (
    CONTEXT_VARIABLE,
    TEXT_VARIABLE,
    TemplateSelector,
)
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRequest:
    """Which prompt, for whom, from what."""

    request_id: str
    template: str
    selector: TemplateSelector
    tenant_id: str
    user_id: str
    conversation_id: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowArm:
    """A version to run beside the answer, rendered."""

    experiment_id: str
    arm: str
    version: int
    system_text: str
    user_text: str
    model: str
    parameters: SamplingParameters
    response_format: ResponseFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """
    A rendered prompt, with all that its version says about the call.

    `Prompting` puts what the turn asks for over what the version says.
    """

    template: str
    version: int
    experiment_id: str
    arm: str
    system_text: str
    user_text: str
    model: str
    parameters: SamplingParameters
    response_format: ResponseFormat
    cache_scope: CacheScope
    shadow_arms: tuple[ShadowArm, ...] = ()
    retains_texts: bool = False
    """Whether the tenant wants its texts in the evaluation log."""
    extra_cacheable: frozenset[ExtraCacheable] = frozenset()
    """Answers that are cached though they are not cached by default."""


class Prompts(Protocol):
    """The prompt registry, as a turn sees it."""

    async def render(self, request: PromptRequest, *, timeout_seconds: float) -> Prompt:
        """
        Pick the version and render it.

        Raises NotFound, InvalidArgument, DependencyUnavailable, DeadlineExceeded.
        """
        ...

    async def rate(
        self,
        *,
        request_id: str,
        tenant_id: str,
        stars: int,
        comment: str,
        timeout_seconds: float,
    ) -> None:
        """Record a rating. Raises NotFound, InvalidArgument, DependencyUnavailable."""
        ...


class LocalPrompts(Protocol):
    """The last snapshot of all templates, kept in this process."""

    def render(self, request: PromptRequest) -> Prompt:
        """Render as the registry would. Raises DependencyUnavailable without a snapshot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """The stage of a turn that renders its prompt."""

    registry: Prompts
    snapshot: LocalPrompts
    render_timeout_seconds: float

    async def render(self, admitted: Admitted, deadline: Deadline, trace: Trace) -> Prompt:
        """
        Render the prompt from the redacted texts; from the last snapshot if the registry is away.

        Raises NotFound, InvalidArgument, and DependencyUnavailable if there never was a snapshot.
        """
        turn = admitted.request
        variables = {**turn.variables, TEXT_VARIABLE: turn.text}
        if turn.context_documents:
            variables[CONTEXT_VARIABLE] = "\n\n".join(turn.context_documents)
        request = PromptRequest(
            request_id=turn.request_id,
            template=turn.template,
            selector=turn.selector,
            tenant_id=admitted.subject.tenant_id,
            user_id=admitted.subject.user_id,
            conversation_id=turn.conversation_id,
            variables=variables,
        )
        timeout = deadline.timeout(self.render_timeout_seconds)
        try:
            prompt = await self.registry.render(request, timeout_seconds=timeout)
        except DependencyUnavailable:
            prompt = self.snapshot.render(request)
            trace.degrade("prompt_registry", "The prompt comes from the last snapshot.")
        return replace(
            prompt,
            model=turn.model or prompt.model,
            parameters=turn.parameters.over(prompt.parameters),
            response_format=turn.response_format.over(prompt.response_format),
        )
