"""Tokens of pages."""

import base64
import binascii

from parley_services.kit.errors import InvalidArgument

_LARGEST_POSITION = 2**62


def position_of(token: str) -> int:
    """Return the position in a page token, 0 for an empty one. Raises InvalidArgument."""
    if not token:
        return 0
    try:
        position = int(base64.urlsafe_b64decode(token.encode()).decode())
    except (binascii.Error, UnicodeError, ValueError):
        position = -1
    if not 0 < position < _LARGEST_POSITION:
        raise InvalidArgument.field("page_token", "must be a token that a page came with")
    return position


def token_of(position: int) -> str:
    """Return the page token of a position."""
    return base64.urlsafe_b64encode(str(position).encode()).decode()
