"""Reads text that was written in escapes, in base64 or in hexadecimal digits."""

import base64
import binascii
import html
import string
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Final

from parley_services.guardrails.patterns.regex import Regex, compile_regex

ESCAPE_STARTS: Final = (b"%", b"&", b"\\")
"""What the escapes begin with: a text without one of them holds no escape."""

_BASE64_OF_ASCII: Final = (
    # Four digits whose three bytes are below 0x80, so that they may be text: that fixes a
    # bit of each of the first three digits. A line may end after a group (RFC 2045).
    r"(?:[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/\-_][\r\n]{0,2})"
)
BASE64_RUN: Final = rf"{_BASE64_OF_ASCII}{{2,128}}[A-Za-z0-9+/\-_]{{0,3}}"
HEX_RUN: Final = r"(?:[2-7][0-9A-Fa-f][ :,]?){5,170}"

_ESCAPE: Final = (
    r"(?:%[0-9A-Fa-f]{2}){1,64}|&#[xX]?[0-9A-Fa-f]{1,8};?|&[A-Za-z]{2,8};"
    r"|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
)


def decoded_run(run: bytes) -> Iterator[bytes]:
    """
    Yield what a run of digits may stand for: hexadecimal, and base64 begun at each of
    four places, since what is written before the base64 may be taken for a part of it.
    """
    digits = run.translate(None, b" :,\r\n")
    with suppress(ValueError):
        yield bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
    letters = digits.translate(bytes.maketrans(b"-_", b"+/"))
    for offset in range(4):
        part = letters[offset:]
        if len(part) % 4 == 1:
            part = part[:-1]
        try:
            yield base64.b64decode(part + b"=" * (-len(part) % 4))
        except binascii.Error:
            continue


def unescaped(data: bytes) -> tuple[bytes, list[int]] | None:
    """
    Return *data* with each escape replaced by what it stands for, and for each byte of
    that the place in *data* that it comes from; None if there is no escape in it.
    """
    if not any(start in data for start in ESCAPE_STARTS):
        return None
    pieces: list[bytes] = []
    places: list[int] = []
    end = 0
    while (match := _escape().search(data, end)) is not None:
        start = match.span()[0]
        pieces.append(data[end:start])
        places.extend(range(end, start))
        end = match.span()[1]
        meaning = unescape(data[start:end].decode()).encode(errors="replace")
        pieces.append(meaning)
        places.extend([start] * len(meaning))
    pieces.append(data[end:])
    places.extend(range(end, len(data)))
    return b"".join(pieces), places


def unescape(text: str) -> str:
    """Return *text* with each escape replaced by what it stands for."""
    if "%" in text:
        text = urllib.parse.unquote(text, errors="replace")
    if "&" in text:
        text = html.unescape(text)
    if "\\" in text:
        text = _unescape_backslashes(text)
    return text


def _unescape_backslashes(text: str) -> str:
    first, *rest = text.split("\\")
    return first + "".join(_unescape_one(piece) for piece in rest)


def _unescape_one(piece: str) -> str:
    length = {"x": 2, "u": 4}.get(piece[:1], 0)
    digits = piece[1 : 1 + length]
    if not length or len(digits) < length or not all(each in string.hexdigits for each in digits):
        return "\\" + piece
    return chr(int(digits, 16)) + piece[1 + length :]


@cache
def _escape() -> Regex:
    return compile_regex(_ESCAPE)
