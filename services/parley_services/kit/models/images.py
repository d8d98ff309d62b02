"""
What an image costs in input tokens, by the rules that providers publish.

The size is read from the head of a data URL. Of an image behind an https URL nothing is known,
since the suite never fetches it; it counts as a large one.
"""

import base64
import binascii
import math
import struct
from collections.abc import Callable
from typing import Final

_HEAD_CHARACTERS: Final = 96 * 1024
"""How much of a data URL is looked at, a multiple of 4: a JPEG may have its size behind a long
profile."""

_LARGE: Final = (2048, 2048)
"""Width and height where nothing is known: larger ones are scaled down by all providers."""


def image_token_count(url: str, model: str) -> int:
    """Return how many tokens the image at *url*, https or data, costs for *model*."""
    width, height = _size_of(url) or _LARGE
    name = model.lower().rsplit("/", 1)[-1]
    rule = next((rule for part, rule in _RULES if part in name), _by_area)
    return max(1, rule(width, height))


def _tiles(base: int, per_tile: int) -> Callable[[int, int], int]:
    """
    Return OpenAI's rule of tiles: scaled into 2048 by 2048, then to 768 on the shorter side.

    https://platform.openai.com/docs/guides/images-vision#calculating-costs, detail `high`.
    """

    def count(width: int, height: int) -> int:
        wide, high = _scaled(width, height, longest=2048, shortest=768)
        return base + per_tile * math.ceil(wide / 512) * math.ceil(high / 512)

    return count


def _patches(multiplier: float) -> Callable[[int, int], int]:
    """Return OpenAI's rule of patches of 32 by 32 pixels, 1,536 at most; same page."""

    def count(width: int, height: int) -> int:
        patches = math.ceil(width / 32) * math.ceil(height / 32)
        return math.ceil(min(patches, 1536) * multiplier)

    return count


def _anthropic(width: int, height: int) -> int:
    """Return `width * height / 750` at 1,568 pixels at most on the longer side.

    https://docs.anthropic.com/en/docs/build-with-claude/vision#evaluate-image-size.
    """
    wide, high = _scaled(width, height, longest=1568)
    return min(math.ceil(wide * high / 750), 1600)


def _gemini(width: int, height: int) -> int:
    """Return 258 for each tile of 768 by 768: https://ai.google.dev/gemini-api/docs/tokens."""
    if width <= 384 and height <= 384:
        return 258
    return 258 * math.ceil(width / 768) * math.ceil(height / 768)


def _by_area(width: int, height: int) -> int:
    """Return one token for 28 by 28 pixels, as Qwen's models count; 1,600 at most."""
    return min(math.ceil(width / 28) * math.ceil(height / 28), 1600)


def _scaled(
    width: int, height: int, *, longest: int, shortest: int | None = None
) -> tuple[float, float]:
    factor = min(1.0, longest / max(width, height))
    if shortest is not None:
        factor = min(factor, shortest / min(width, height))
    return width * factor, height * factor


_RULES: Final[tuple[tuple[str, Callable[[int, int], int]], ...]] = (
    ("claude", _anthropic),
    ("gemini", _gemini),
    ("gpt-4o-mini", _tiles(2833, 5667)),
    ("gpt-4.1-mini", _patches(1.62)),
    ("gpt-4.1-nano", _patches(2.46)),
    ("gpt-5-mini", _patches(1.62)),
    ("gpt-5-nano", _patches(2.46)),
    ("o4-mini", _patches(1.72)),
    ("gpt-5", _tiles(70, 140)),
    ("gpt-6", _tiles(70, 140)),
    ("o1", _tiles(75, 150)),
    ("o3", _tiles(75, 150)),
    ("gpt-4", _tiles(85, 170)),
)
"""Parts of model names and their rules; the first match wins."""


def _size_of(url: str) -> tuple[int, int] | None:
    """Return width and height of the image in a data URL, None if they cannot be read."""
    if not url.startswith("data:"):
        return None
    _, comma, data = url.partition(",")
    try:
        head = base64.b64decode(data[:_HEAD_CHARACTERS] if comma else "", validate=False)
    except (binascii.Error, ValueError):
        return None
    try:
        size = _size_in(head)
    except (struct.error, IndexError):
        return None
    return size if size is not None and min(size) > 0 else None


def _size_in(head: bytes) -> tuple[int, int] | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return struct.unpack(">II", head[16:24])
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return struct.unpack("<HH", head[6:10])
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _webp_size(head)
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8X":
            wide = int.from_bytes(head[24:27], "little") + 1
            return wide, int.from_bytes(head[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            wide, high = struct.unpack("<HH", head[26:30])
            return wide & 0x3FFF, high & 0x3FFF
        case _:
            return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(head):
        marker, length = head[position + 1], int.from_bytes(head[position + 2 : position + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack(">HH", head[position + 5 : position + 9])
            return wide, high
        position += 2 + max(length, 1)
    return None
