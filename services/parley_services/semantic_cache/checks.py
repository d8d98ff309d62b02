"""What callers give, checked once for every method."""

from collections.abc import Sequence

from parley_services.kit.errors import DependencyUnavailable, InputTooLarge, InvalidArgument
from parley_services.semantic_cache.partition import Partition, is_entry_id

MAX_TEXT_BYTES = 64 * 1024
MAX_TAGS = 16
MAX_TAG_CHARACTERS = 64


def check_text(partition: Partition, text: str) -> None:
    """Raise InvalidArgument without a tenant or a text, InputTooLarge over 64 KiB."""
    check_tenant(partition.tenant_id, "partition.tenant_id")
    if not text.strip():
        raise InvalidArgument.field("text", "Give the user's text; it may not be blank.")
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise InputTooLarge("The text is longer than 64 KiB; shorten it or skip the cache.")


def check_kept(tags: Sequence[str], ttl_seconds: float | None) -> None:
    """Raise InvalidArgument for tags or a time to live that cannot be."""
    if len(tags) > MAX_TAGS or any(not 0 < len(tag) <= MAX_TAG_CHARACTERS for tag in tags):
        raise InvalidArgument.field("tags", "Give up to 16 tags of 1 to 64 characters.")
    if ttl_seconds is not None and ttl_seconds <= 0:
        raise InvalidArgument.field("ttl", "Give a time above zero, or leave it out.")


def check_tenant(tenant_id: str, field: str = "tenant_id") -> None:
    """Raise InvalidArgument without a tenant."""
    if not tenant_id:
        raise InvalidArgument.field(field, "Name the tenant; no entry is shared among tenants.")


def check_entry_id(entry_id: str) -> None:
    """Raise InvalidArgument for what cannot be an entry's id."""
    if not is_entry_id(entry_id):
        raise InvalidArgument.field("entry_id", "Give the id that came with a hit.")


def store_away() -> DependencyUnavailable:
    """Return the error of a caller that needs the store while it is away."""
    return DependencyUnavailable(
        "The cache's store cannot be reached; try again shortly.", retry_after_seconds=1.0
    )
