"""Brings a text's characters into one form: what looks the same is the same."""

import re
import unicodedata
from typing import Final

_SPACES: Final = (
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f"
    "\u3000"
)
_INVISIBLE: Final = (
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0e\ufe0f\u202a\u202b\u202c\u202d\u202e"
    "\u2066\u2067\u2068\u2069"
)
_SINGLE_QUOTES: Final = "\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4`"
_DOUBLE_QUOTES: Final = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u300c\u300d\u300e\u300f"
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"

_TABLE: Final[dict[int, str | None]] = {
    **{ord(each): " " for each in _SPACES},
    **{ord(each): None for each in _INVISIBLE},
    **{ord(each): "'" for each in _SINGLE_QUOTES},
    **{ord(each): '"' for each in _DOUBLE_QUOTES},
    **{ord(each): "-" for each in _DASHES},
    # Full-width forms of ASCII, as East Asian keyboards type them.
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    ord("…"): "...",
}
_BLANKS = re.compile(r"[ \t]+")


def normalise(text: str) -> str:
    """
    Return *text* in the form whose equality makes the same text.

    NFC, one kind of line end, no blanks around; on a single line, runs of blanks become
    one. Nothing else changes: NFKC would make `x²` equal to `x2`, and indentation means
    something in code.
    """
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()
    return text if "\n" in text else _BLANKS.sub(" ", text)


def cleaned(normal: str) -> str:
    """
    Return the normalised text with one kind of space, quote and dash and nothing invisible.

    Grave accents become quotes, so a text with code must not come here.
    """
    if normal.isascii():
        return normal.replace("`", "'")
    return _BLANKS.sub(" ", normal.translate(_TABLE)).strip()
