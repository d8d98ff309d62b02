"""A person's word on a turn."""

from dataclasses import dataclass

THUMBS_UP_STARS, THUMBS_DOWN_STARS = 5, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """Thumbs or stars for a turn, with or without words."""

    request_id: str
    thumbs_up: bool | None
    stars: int | None
    comment: str

    def on_scale(self) -> int:
        """Return 1 (bad) to 5 (good)."""
        if self.stars is not None:
            return self.stars
        return THUMBS_UP_STARS if self.thumbs_up else THUMBS_DOWN_STARS
