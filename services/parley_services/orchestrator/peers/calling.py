"""What a peer's failure means to a turn."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from parley_services.kit.errors import DependencyUnavailable, ServiceError
from parley_services.kit.rpc.status import service_error_of


@contextmanager
def calling(peer: str) -> Iterator[None]:
    """
    Let the peer's own refusals through as they were; after all else it counts as unavailable.

    That counts a call that took longer than its own timeout, and one that crashed.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise failure(error, peer) from None


def failure(error: grpc.aio.AioRpcError, peer: str) -> ServiceError:
    """Return what *error* of a call to *peer* means."""
    refusal = service_error_of(error)
    if refusal is not None:
        return refusal
    return DependencyUnavailable(
        f"The service {peer} is unavailable: try again later.", metadata={"dependency": peer}
    )
