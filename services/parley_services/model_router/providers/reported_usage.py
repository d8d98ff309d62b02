"""What a provider says that a call used: read as far as it can be, believed later."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_TOKEN_COUNT: Final = 20_000_000
"""No model reads or writes as many; a greater count is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedUsage:
    """
    The counts of one call as its provider gave them. None where it gave none.

    A later report is laid over an earlier one by `then`. What the counts mean together is
    decided by `reconcile`, which knows what really passed.
    """

    input_token_count: int | None = None
    cached_input_token_count: int | None = None
    cache_write_token_count: int | None = None
    cache_write_1h_token_count: int | None = None
    output_token_count: int | None = None
    reasoning_token_count: int | None = None
    total_token_count: int | None = None
    input_excludes_cached: bool = False
    """Whether the API counts cached and written input beside the input, as Anthropic's does."""
    service_tier: str = ""
    """The tier that served the call, as `priority`; empty if the provider did not say."""
    unreadable: bool = False
    """Whether a count was there that can be none."""
    is_final: bool = False
    """Whether it came with the end of the answer."""

    def then(self, later: "ReportedUsage") -> "ReportedUsage":
        """Return this report with what *later* adds: a zero takes no earlier count back."""
        return ReportedUsage(
            input_token_count=later.input_token_count or self.input_token_count,
            cached_input_token_count=(
                later.cached_input_token_count or self.cached_input_token_count
            ),
            cache_write_token_count=later.cache_write_token_count or self.cache_write_token_count,
            cache_write_1h_token_count=(
                later.cache_write_1h_token_count or self.cache_write_1h_token_count
            ),
            output_token_count=later.output_token_count or self.output_token_count,
            reasoning_token_count=later.reasoning_token_count or self.reasoning_token_count,
            total_token_count=later.total_token_count or self.total_token_count,
            input_excludes_cached=later.input_excludes_cached,
            service_tier=later.service_tier or self.service_tier,
            unreadable=later.unreadable or self.unreadable,
            is_final=later.is_final,
        )


class UsageReader:
    """Reads counts out of a usage object of whatever shape."""

    def __init__(self, usage: Any) -> None:
        self._usage = usage if isinstance(usage, Mapping) else {}
        self.unreadable = usage is not None and not isinstance(usage, Mapping)
        """Whether something was there that is no count."""

    def count(self, *paths: str) -> int | None:
        """Return the first count above 0 at one of *paths*, as `a.b`; else 0 if one is there."""
        found = [count for path in paths if (count := self._count_at(path)) is not None]
        return next(filter(None, found), 0) if found else None

    def text(self, name: str) -> str:
        """Return the text at *name*, empty without one."""
        value = self._usage.get(name)
        return value if isinstance(value, str) else ""

    def _count_at(self, path: str) -> int | None:
        value: Any = self._usage
        for name in path.split("."):
            if value is None:
                return None
            if not isinstance(value, Mapping):
                self.unreadable = True
                return None
            value = value.get(name)
        if value is None:
            return None
        count = token_count_of(value)
        self.unreadable = self.unreadable or count is None
        return count


def token_count_of(value: Any) -> int | None:
    """Return *value*, an integer, a float or a text of one, as a count; None if it is none."""
    if type(value) is int:
        return value if 0 <= value <= MAX_TOKEN_COUNT else None
    if not isinstance(value, float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number) or not 0 <= number <= MAX_TOKEN_COUNT:
        return None
    return round(number)
