"""What a model call used: `parley.chat.v1.usage`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """
    Tokens of a model call.

    The cached and the written part belong to the input, the reasoning part to the output.
    """

    input_token_count: int = 0
    cached_input_token_count: int = 0
    cache_write_token_count: int = 0
    cache_write_1h_token_count: int = 0
    """The part of the written input that is kept for an hour."""
    output_token_count: int = 0
    reasoning_token_count: int = 0
    estimated: bool = False
    """Whether a count is our own, since the provider gave none, or one that cannot be."""
