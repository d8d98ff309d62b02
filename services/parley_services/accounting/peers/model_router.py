"""What the model router offers, asked for again and again."""

from contextlib import AbstractAsyncContextManager
from typing import Final

import grpc
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc

from parley_services.kit.background import Backoff, every
from parley_services.kit.errors import DependencyUnavailable
from parley_services.kit.models import from_proto
from parley_services.kit.models.catalogue import ModelCatalogue
from parley_services.kit.rpc.status import service_error_of

REFRESH_SECONDS: Final = 15.0
"""How long a model or a price that is new to the router may stay unknown here."""

_RETRY: Final = Backoff(first_seconds=0.2, max_seconds=REFRESH_SECONDS)
_TIMEOUT_SECONDS: Final = 2.0


class RouterCatalogue:
    """The last list of models that the router gave; what was known stays known."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.ModelRouterServiceAsyncStub = pb_grpc.ModelRouterServiceStub(channel)
        self._latest: ModelCatalogue | None = None

    def latest(self) -> ModelCatalogue | None:
        """Return the list, None until the router was reached for the first time."""
        return self._latest

    def refreshing(self) -> AbstractAsyncContextManager[None]:
        """Keep the list up to date while the context lasts."""
        return every(
            REFRESH_SECONDS, self.refresh, name="model_catalogue", at_once=True, backoff=_RETRY
        )

    async def refresh(self) -> None:
        """Ask the router. Raises what it refuses with, DependencyUnavailable if it is away."""
        try:
            listed = await self._stub.ListModels(pb.ListModelsRequest(), timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise service_error_of(error) or DependencyUnavailable(
                "The model router is unavailable: try again later.",
                metadata={"dependency": "model_router"},
            ) from None
        self._latest = from_proto.catalogue(listed)
