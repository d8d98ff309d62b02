"""What a turn and the prompt registry tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.chat.message import ResponseFormat, SamplingParameters
from parley_services.orchestrator.admission.request import TemplateSelector


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
