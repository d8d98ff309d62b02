"""The API key that a call carries."""

from collections.abc import Iterable
from typing import Final

AUTHORIZATION_KEY: Final = "authorization"
"""Metadata that carries an API key, as `Bearer KEY` (RFC 6750)."""

_SCHEME: Final = "bearer "


def bearer(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """Return the API key in *metadata*: None without the header, empty for one of no use."""
    for key, value in metadata or ():
        if key == AUTHORIZATION_KEY and isinstance(value, str):
            return value[len(_SCHEME) :].strip() if value.lower().startswith(_SCHEME) else ""
    return None
