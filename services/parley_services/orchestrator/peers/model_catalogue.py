"""The models that the router offers, asked for now and then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc

from parley_services.kit.errors import NotFound

REFRESH_SECONDS = 15.0
"""How long a model that is new to the router may stay unknown here."""

RETRY_SECONDS = 0.5
"""How often the router is asked until it first answers."""

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

    @asynccontextmanager
    async def refreshing(self) -> AsyncIterator[None]:
        """Keep the list up to date while the context lasts."""
        task = asyncio.create_task(self._refresh())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _refresh(self) -> None:
        while True:
            try:
                listed = await self._stub.ListModels(
                    pb.ListModelsRequest(), timeout=TIMEOUT_SECONDS
                )
                self._price_names = _price_names(listed)
            except grpc.aio.AioRpcError:
                pass  # What was known stays known.
            known = self._price_names is not None
            await asyncio.sleep(REFRESH_SECONDS if known else RETRY_SECONDS)


def _price_names(listed: pb.ListModelsResponse) -> dict[str, str]:
    names = {
        name: model.provider_model or model.name
        for model in listed.models
        for name in (model.name, *model.aliases)
    }
    groups = {group.name: names[group.models[0]] for group in listed.groups if len(group.models)}
    return {"auto": "", **names, **groups}
