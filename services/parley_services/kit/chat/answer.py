"""How an answer came and ended: `parley.chat.v1.answer`."""

from parley_services.kit.chat.wire_enum import WireEnum


class FinishReason(WireEnum):
    """Why an answer ended; UNSPECIFIED if the turn failed."""

    UNSPECIFIED = 0
    STOP = 1
    LENGTH = 2
    TOOL_CALL = 3
    CONTENT_FILTER = 4
    REFUSAL = 5
    BUDGET = 6
    OTHER = 7
    """For a reason that nobody knows: the answer may not be whole."""


class AnswerSource(WireEnum):
    """Where an answer comes from; UNSPECIFIED if the turn failed."""

    UNSPECIFIED = 0
    MODEL = 1
    CACHE_EXACT = 2
    CACHE_SEMANTIC = 3
    CACHE_FALLBACK = 4
    COALESCED = 5

    @property
    def is_cache(self) -> bool:
        """Whether the cache had the answer."""
        return self in (
            AnswerSource.CACHE_EXACT,
            AnswerSource.CACHE_SEMANTIC,
            AnswerSource.CACHE_FALLBACK,
        )
