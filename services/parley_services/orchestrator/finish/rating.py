"""A person's word on a turn."""

from dataclasses import dataclass

from parley_services.kit.errors import FieldViolation, InvalidArgument

MAX_COMMENT_CHARACTERS = 2000
THUMBS_UP_STARS, THUMBS_DOWN_STARS = 5, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """Thumbs or stars for a turn, with or without words."""

    request_id: str
    thumbs_up: bool | None
    stars: int | None
    comment: str

    def on_scale(self) -> int:
        """Return 1 (bad) to 5 (good). Raises InvalidArgument naming every field that is wrong."""
        violations = []
        if not self.request_id:
            violations.append(("request_id", "Name the turn."))
        if len(self.comment) > MAX_COMMENT_CHARACTERS:
            violations.append(("comment", f"Use at most {MAX_COMMENT_CHARACTERS} characters."))
        stars = self.stars
        if self.thumbs_up is not None:
            stars = THUMBS_UP_STARS if self.thumbs_up else THUMBS_DOWN_STARS
        if stars is None:
            violations.append(("rating", "Send `thumbs_up` or `stars`."))
        elif not 1 <= stars <= 5:
            violations.append(("stars", "Use 1 to 5."))
        if violations or stars is None:
            raise InvalidArgument.of(
                *(FieldViolation(field=field, description=text) for field, text in violations)
            )
        return stars
