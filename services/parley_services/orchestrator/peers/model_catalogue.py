"""The models that the router offers, asked for now and then."""

from contextlib import AbstractAsyncContextManager

import grpc
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc

from parley_services.kit.background import Backoff, every
from parley_services.kit.errors import NotFound
from parley_services.orchestrator.peers.calling import calling

PEER = "model_router"

REFRESH_SECONDS = 15.0
"""How long a model that is new to the router may stay unknown here."""

RETRY = Backoff(first_seconds=0.5, max_seconds=REFRESH_SECONDS)

TIMEOUT_SECONDS = 2.0

MAX_SHOWN_CHARACTERS = 64


class ListedModelCatalogue:
    """`ModelCatalogue` by the last list that the router gave."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.ModelRouterServiceAsyncStub = pb_grpc.ModelRouterServiceStub(channel)
        self._price_names: dict[str, str] | None = None

    def price_name(self, name: str) -> str:
        if not name or self._price_names is None:
            return name
        found = self._price_names.get(name)
        if found is None:
            shown = name[:MAX_SHOWN_CHARACTERS]
            raise NotFound(
                f"There is no model or group {shown}: `parley models` lists them.",
                resource_type="model",
                resource_name=shown,
            )
        return found

    def refreshing(self) -> AbstractAsyncContextManager[None]:
        """Keep the list up to date while the context lasts; what was known stays known."""
        return every(
            REFRESH_SECONDS, self._refresh, name="model_catalogue", at_once=True, backoff=RETRY
        )

    async def _refresh(self) -> None:
        with calling(PEER):
            listed = await self._stub.ListModels(pb.ListModelsRequest(), timeout=TIMEOUT_SECONDS)
        self._price_names = _price_names(listed)


def _price_names(listed: pb.ListModelsResponse) -> dict[str, str]:
    names = {
        name: model.provider_model or model.name
        for model in listed.models
        for name in (model.name, *model.aliases)
    }
    groups = {group.name: names[group.models[0]] for group in listed.groups if len(group.models)}
    return {"auto": "", **names, **groups}
