"""What callers give, checked once for every method."""

from parley_services.kit.errors import DependencyUnavailable, InputTooLarge, InvalidArgument
from parley_services.semantic_cache.partition import Partition

MAX_TEXT_BYTES = 64 * 1024


def check_text(partition: Partition, text: str) -> None:
    """Raise InvalidArgument without a tenant or a text, InputTooLarge over 64 KiB."""
    check_tenant(partition.tenant_id, "partition.tenant_id")
    if not text.strip():
        raise InvalidArgument.field("text", "Give the user's text; it may not be blank.")
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise InputTooLarge("The text is longer than 64 KiB; shorten it or skip the cache.")


def check_tenant(tenant_id: str, field: str = "tenant_id") -> None:
    """Raise InvalidArgument without a tenant."""
    if not tenant_id:
        raise InvalidArgument.field(field, "Name the tenant; no entry is shared among tenants.")


def store_away() -> DependencyUnavailable:
    """Return the error of a caller that needs the store while it is away."""
    return DependencyUnavailable(
        "The cache's store cannot be reached; try again shortly.", retry_after_seconds=1.0
    )
