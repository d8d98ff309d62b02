"""Compiles patterns with RE2, which takes linear time on any text."""

from typing import Final, Protocol, cast

import re2  # type: ignore[import-untyped]

_MAX_MEMORY_BYTES = 64 * 1024 * 1024
"""Upper bound of one expression's automata. RE2's own, 8 MiB, is little for the open
prefixes of all rules at once; when it is reached, RE2 falls back to a slower search."""


NOTHING: Final = r"[^\x{0}-\x{10FFFF}]"
"""A pattern that matches no text."""


class Match(Protocol):
    """A place where an expression matches; offsets are bytes."""

    def span(self, group: int = 0) -> tuple[int, int]: ...


class Regex(Protocol):
    """A compiled expression over UTF-8."""

    def search(self, text: bytes, pos: int = 0) -> Match | None:
        """Return the leftmost match that begins at *pos* or later."""
        ...


def compile_regex(pattern: str) -> Regex:
    """Return *pattern*, in RE2's syntax, compiled. Raises ValueError if it is too large."""
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.log_errors = False
    try:
        return cast(Regex, re2.compile(pattern.encode(), options))
    except re2.error as error:
        raise ValueError(f"RE2 refuses a pattern: {error}") from error
