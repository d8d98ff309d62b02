"""URLs of images: of a data URL, what rules read and what is the image."""

import string
from typing import Final

from parley_services.kit.errors import InvalidArgument

IMAGE_TYPES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What the providers take. SVG is none of them: it is a text that may hold orders."""

_BASE64: Final = (string.ascii_letters + string.digits + "+/=").encode()


def split_image_url(url: str, field: str) -> tuple[str, str]:
    """
    Return the part of *url* that is a text, and the bytes of an image in it as base64, if any.

    Raises InvalidArgument, naming *field*, for a data URL that is no image in base64.
    """
    if url[:5].casefold() != "data:":
        return url, ""
    head, _, data = url.partition(",")
    media_type, *parameters = head[5:].casefold().split(";")
    if media_type not in IMAGE_TYPES or parameters != ["base64"]:
        raise InvalidArgument.field(
            field, f"is no image: send base64 of {', '.join(IMAGE_TYPES)}, or an https URL."
        )
    if not data.isascii() or data.encode().translate(None, _BASE64):
        raise InvalidArgument.field(field, "is not base64: encode the image.")
    return f"{head},", data
