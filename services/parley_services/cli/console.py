"""
The terminal. Colours go off by themselves where there is none, or with NO_COLOR.

What a command prints comes from tenants, users, models and files, so a text is a text: nothing
in it is markup, no `:a:` becomes an emoji, and no control character reaches the terminal. Style
is given beside the text, by `styled`.
"""

import os
import re
import sys
from collections.abc import Iterable
from typing import Any, Final

import grpc
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

PIPED_WIDTH = 200
"""Columns of what goes into a file or another program, where no window is too narrow."""

_HARMFUL: Final = re.compile(
    "["
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # control characters, but tab and line feed
    "\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # what turns the direction of writing
    "]"
)


class Terminal(Console):
    """A console that prints texts as they stand, with harmful characters as `\\x1b`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render *renderable*, as all that is printed is, piece by piece."""
        for segment in super().render(renderable, options):
            if segment.control or not _HARMFUL.search(segment.text):
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


def visible(text: str) -> str:
    """Return *text* with each character that acts on a terminal as an escape sequence."""
    return _HARMFUL.sub(lambda found: ascii(found[0])[1:-1], text)


def styled(*parts: str | tuple[str, str]) -> Text:
    """
    Return a line of texts, each as it stands or as a pair with its style.

        console.print(styled((name, "red"), " is away"))
    """
    return Text.assemble(*((each, "") if isinstance(each, str) else each for each in parts))


def _width() -> int | None:
    """Return the width to write in, or None for that of the terminal or of COLUMNS."""
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH


console = Terminal(width=_width())
"""What a command answers."""

error_console = Terminal(stderr=True)
"""What went wrong, and progress."""


def print_refusal(error: grpc.aio.AioRpcError) -> None:
    """Say in one line what a service refused."""
    error_console.print(
        styled((error.code().name, "red"), " ", error.details() or ""), soft_wrap=True
    )


def dollars(nano_usd: int) -> str:
    """Return an amount for people: two digits for large ones, six for small ones."""
    usd = nano_usd / 1e9
    return f"${usd:,.2f}" if usd >= 100 else f"${usd:,.6f}"
