"""Usage as Anthropic's Messages API reports it."""

from typing import Any

from parley_services.model_router.providers.reported_usage import ReportedUsage, UsageReader


def read_usage(usage: Any, *, is_final: bool) -> ReportedUsage:
    """Return what *usage*, of whatever shape, says. Never raises."""
    reader = UsageReader(usage)
    return ReportedUsage(
        input_token_count=reader.count("input_tokens"),
        cached_input_token_count=reader.count("cache_read_input_tokens"),
        cache_write_token_count=reader.count("cache_creation_input_tokens"),
        cache_write_1h_token_count=reader.count("cache_creation.ephemeral_1h_input_tokens"),
        output_token_count=reader.count("output_tokens"),
        reasoning_token_count=reader.count("output_tokens_details.thinking_tokens"),
        input_excludes_cached=True,
        service_tier=reader.text("service_tier"),
        unreadable=reader.unreadable,
        is_final=is_final,
    )
