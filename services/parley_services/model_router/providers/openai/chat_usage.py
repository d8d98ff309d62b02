"""Usage as Chat Completions and the many servers that speak it report it."""

from typing import Any

from parley_services.model_router.providers.reported_usage import ReportedUsage, UsageReader


def read_usage(usage: Any, *, service_tier: Any = "", is_final: bool) -> ReportedUsage:
    """
    Return what *usage*, of whatever shape, says. Never raises.

    The details are named as OpenAI names them, else as DeepSeek, Moonshot, LiteLLM, xAI and
    OpenRouter do.
    """
    reader = UsageReader(usage)
    return ReportedUsage(
        input_token_count=reader.count("prompt_tokens", "input_tokens"),
        cached_input_token_count=reader.count(
            "prompt_tokens_details.cached_tokens",
            "prompt_cache_hit_tokens",
            "cached_tokens",
            "cache_read_input_tokens",
        ),
        cache_write_token_count=reader.count(
            "prompt_tokens_details.cache_write_tokens",
            "prompt_tokens_details.cache_creation_tokens",
            "cache_creation_input_tokens",
        ),
        cache_write_1h_token_count=reader.count("cache_creation.ephemeral_1h_input_tokens"),
        output_token_count=reader.count("completion_tokens", "output_tokens"),
        reasoning_token_count=reader.count(
            "completion_tokens_details.reasoning_tokens", "reasoning_tokens"
        ),
        total_token_count=reader.count("total_tokens"),
        service_tier=service_tier if isinstance(service_tier, str) else "",
        unreadable=reader.unreadable,
        is_final=is_final,
    )
