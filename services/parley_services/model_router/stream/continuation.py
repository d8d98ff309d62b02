"""Asks a model to go on with an answer that another one began."""

from dataclasses import replace
from typing import Final

from parley_services.kit.chat.message import Message, Role
from parley_services.kit.models.tokens import count_tokens
from parley_services.model_router.generation import GenerationRequest

_INSTRUCTION: Final = (
    "Your last message broke off in the middle. Begin by repeating its last words exactly, "
    "then continue it to its end. Do not start again, and say nothing else."
)
"""The repeated words show where the texts meet, white space and half words included;
`join` takes them out. A message of the assistant at the end would be shorter, but newer
models refuse such a prefill."""


_REPEATED_TOKENS: Final = 32
"""Room for the words that are written twice."""


def continuation_of(request: GenerationRequest, prefix: str) -> GenerationRequest:
    """
    Return *request* as it is sent to the model that is to go on after *prefix*.

    The limit of the output is what the prefix has left of it. Log probabilities are not
    asked for: those of the repeated words would be of no use.
    """
    parameters = request.parameters
    if parameters.max_output_token_count is not None:
        left = parameters.max_output_token_count - count_tokens(prefix)
        parameters = replace(parameters, max_output_token_count=max(1, left) + _REPEATED_TOKENS)
    return replace(
        request,
        parameters=parameters,
        top_logprob_count=None,
        messages=(
            *request.messages,
            Message(role=Role.ASSISTANT, text=prefix),
            Message(role=Role.USER, text=_INSTRUCTION),
        ),
    )


def split_continuation(request: GenerationRequest) -> tuple[GenerationRequest, str]:
    """Return the request that was continued and the prefix; an empty one if none was."""
    messages = request.messages
    if len(messages) < 3 or messages[-1].text != _INSTRUCTION:
        return request, ""
    return replace(request, messages=messages[:-2]), messages[-2].text
