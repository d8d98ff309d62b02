"""The terminal. Colours go off by themselves where there is none, or with NO_COLOR."""

from rich.console import Console

console = Console(highlight=False)
"""What a command answers."""

error_console = Console(stderr=True, highlight=False)
"""What went wrong, and progress."""


def dollars(nano_usd: int) -> str:
    """Return an amount for people: two digits for large ones, six for small ones."""
    usd = nano_usd / 1e9
    return f"${usd:,.2f}" if usd >= 100 else f"${usd:,.6f}"
