"""What is too large, or no text, and is refused before any rule looks at it."""

from dataclasses import dataclass
from typing import Final

from parley_services.kit.errors import InputTooLarge, InvalidArgument

_CONTROLS: Final = bytes(each for each in (*range(32), 127) if chr(each) not in "\t\n\r\v\f\x1b")
"""Control characters that no text has; terminals' output has the escape, 1B."""

MAX_CONTROL_SHARE: Final = 0.1
"""Of all bytes of a text. Pasted logs and broken encodings have some, files that are no
text have about a tenth and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest texts that are judged, in bytes of UTF-8."""

    max_input_bytes: int = 1024 * 1024
    """All input texts of one request together."""

    max_image_bytes: int = 20 * 1024 * 1024
    """All images of one request together that are in data URLs, as base64."""

    max_answer_bytes: int = 1024 * 1024
    """One answer."""

    max_context_bytes: int = 2 * 1024 * 1024
    """What is said about the turn of an answer: system text, user texts, placeholders."""


DEFAULT_LIMITS: Final = Limits()


def utf8_length(text: str) -> int:
    """Return the bytes of *text* as UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def require_size(size_bytes: int, limit_bytes: int, what: str) -> None:
    """Raise InputTooLarge if *what*, of *size_bytes*, is above *limit_bytes*."""
    if size_bytes > limit_bytes:
        raise InputTooLarge(
            f"{what} of {size_bytes} bytes in all is above the limit of {limit_bytes} bytes: "
            "send less."
        )


def require_text(text: str, field: str) -> None:
    """
    Raise InvalidArgument, naming *field*, if *text* is binary.

    It is if it holds U+0000, by which git and grep tell binary files too, or if more than a
    tenth of it are control characters or U+FFFD, which stand for bytes that were no text.
    """
    if "\0" in text or _control_bytes(text) > MAX_CONTROL_SHARE * len(text):
        raise InvalidArgument.field(field, "is binary: send text.")


def _control_bytes(text: str) -> int:
    data = text.encode(errors="replace")
    return len(data) - len(data.translate(None, _CONTROLS)) + text.count("\ufffd")
