"""Usage as OpenAI's Responses API reports it."""

from typing import Any

from parley_services.model_router.providers.reported_usage import ReportedUsage, UsageReader


def read_usage(usage: Any, *, service_tier: Any = "") -> ReportedUsage:
    """Return what *usage*, of whatever shape, says. It comes with the end only. Never raises."""
    reader = UsageReader(usage)
    return ReportedUsage(
        input_token_count=reader.count("input_tokens", "prompt_tokens"),
        cached_input_token_count=reader.count("input_tokens_details.cached_tokens"),
        cache_write_token_count=reader.count("input_tokens_details.cache_write_tokens"),
        output_token_count=reader.count("output_tokens", "completion_tokens"),
        reasoning_token_count=reader.count("output_tokens_details.reasoning_tokens"),
        total_token_count=reader.count("total_tokens"),
        service_tier=service_tier if isinstance(service_tier, str) else "",
        unreadable=reader.unreadable,
        is_final=True,
    )
