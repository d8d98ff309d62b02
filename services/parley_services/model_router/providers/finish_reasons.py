"""Why an answer ended, in the words of providers and of compatible servers."""

from collections.abc import Mapping
from typing import Final

from parley_services.kit.chat.answer import FinishReason
from parley_services.model_router.attempt.failures import FailureKind, ProviderError

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    # Done.
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "stop_token": FinishReason.STOP,
    "complete": FinishReason.STOP,
    "completed": FinishReason.STOP,
    # Cut off by a limit.
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "max_output_tokens": FinishReason.LENGTH,
    "max_messages": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "pause_turn": FinishReason.LENGTH,
    # Waits for tools.
    "tool_calls": FinishReason.TOOL_CALL,
    "tool_call": FinishReason.TOOL_CALL,
    "tool_use": FinishReason.TOOL_CALL,
    "function_call": FinishReason.TOOL_CALL,
    # Stopped by the provider's guard.
    "content_filter": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "blocklist": FinishReason.CONTENT_FILTER,
    "prohibited_content": FinishReason.CONTENT_FILTER,
    "recitation": FinishReason.CONTENT_FILTER,
    "spii": FinishReason.CONTENT_FILTER,
    # Declined by the model.
    "refusal": FinishReason.REFUSAL,
}
"""
In lower case: OpenAI, Anthropic (https://docs.anthropic.com/en/api/handling-stop-reasons),
Bedrock's Converse, Gemini, Mistral, Zhipu, Cohere, and what inference servers pass through. An
operator adds the words of a server in the router's file.
"""

BROKEN_OFF: Final[Mapping[str, FailureKind]] = {
    "abort": FailureKind.CUT,
    "aborted": FailureKind.CUT,
    "cancelled": FailureKind.CUT,
    "canceled": FailureKind.CUT,
    "error": FailureKind.SERVER_ERROR,
    "timeout": FailureKind.SERVER_ERROR,
    "network_error": FailureKind.SERVER_ERROR,
    "insufficient_system_resource": FailureKind.OVERLOADED,
    "malformed_function_call": FailureKind.MALFORMED,
    "malformed_model_output": FailureKind.MALFORMED,
    "malformed_tool_use": FailureKind.MALFORMED,
}
"""Words that say that the answer failed: vLLM's engine that aborts, DeepSeek without room,
Gemini and Bedrock with a call that cannot be read."""

_STRENGTH: Final = (
    FinishReason.UNSPECIFIED,
    FinishReason.STOP,
    FinishReason.TOOL_CALL,
    FinishReason.OTHER,
    FinishReason.LENGTH,
    FinishReason.REFUSAL,
    FinishReason.CONTENT_FILTER,
)
"""Of several reasons for one answer the last of these counts: the one that takes the most."""

MAX_REASON_CHARACTERS: Final = 64


def finish_reason_of(word: object, more: Mapping[str, FinishReason]) -> FinishReason:
    """
    Return what the provider's *word* for the end of an answer means; OTHER if nobody knows.

    *more* are words that the operator added. Raises ProviderError for one that says that the
    answer failed.
    """
    name = str(word).lower()
    if (known := more.get(name) or FINISH_REASONS.get(name)) is not None:
        return known
    if (failure := BROKEN_OFF.get(name)) is not None:
        raise ProviderError(failure)
    return FinishReason.OTHER


def stronger(one: FinishReason, other: FinishReason) -> FinishReason:
    """Return the one of two reasons that counts."""
    return max(one, other, key=_STRENGTH.index)
