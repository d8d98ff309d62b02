"""The terminal. Colours go off by themselves where there is none, or with NO_COLOR."""

import os
import sys

import grpc
from rich.console import Console
from rich.markup import escape

PIPED_WIDTH = 200
"""Columns of what goes into a file or another program, where no window is too narrow."""


def _width() -> int | None:
    """Return the width to write in, or None for that of the terminal or of COLUMNS."""
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH


console = Console(highlight=False, width=_width())
"""What a command answers."""

error_console = Console(stderr=True, highlight=False)
"""What went wrong, and progress."""


def print_refusal(error: grpc.aio.AioRpcError) -> None:
    """Say in one line what a service refused."""
    error_console.print(
        f"[red]{error.code().name}[/red] {escape(error.details() or '')}", soft_wrap=True
    )


def dollars(nano_usd: int) -> str:
    """Return an amount for people: two digits for large ones, six for small ones."""
    usd = nano_usd / 1e9
    return f"${usd:,.2f}" if usd >= 100 else f"${usd:,.6f}"
