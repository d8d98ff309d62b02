"""What a turn asks of the prompt registry, and what it does without it."""

from dataclasses import dataclass, replace

from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.admission.admission import AdmittedTurn
from parley_services.orchestrator.admission.request import CONTEXT_VARIABLE, TEXT_VARIABLE
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.ports import Prompts, PromptSnapshot
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.prompts import Prompt, PromptRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """The stage of a turn that renders its prompt."""

    registry: Prompts
    snapshot: PromptSnapshot
    render_timeout_seconds: float

    async def render(self, admitted: AdmittedTurn, deadline: Deadline, trace: Trace) -> Prompt:
        """
        Render the prompt from the redacted texts.

        While the registry is unavailable, its last snapshot renders it.

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
