"""Lists models and groups for callers."""

from parley.model_router.v1 import model_router_service_pb2 as pb

from services.model_router.catalogue import Model
from services.model_router.router import Router


def list_models(router: Router) -> pb.ListModelsResponse:
    """Return all that can be asked for, by name."""
    catalogue = router.catalogue
    return pb.ListModelsResponse(
        models=[_model(router, model) for _, model in sorted(catalogue.models.items())],
        groups=[
            pb.ModelGroup(name=name, models=[link.model.name for link in group.links])
            for name, group in sorted(catalogue.groups.items())
        ],
    )


def _model(router: Router, model: Model) -> pb.Model:
    message = pb.Model(
        name=model.name,
        provider=model.provider,
        context_token_count=model.context_token_count,
        max_output_token_count=model.traits.max_output_token_count,
        features=sorted(model.features),
    )
    price = router.price(model)
    if price is not None:
        rates = price.rates
        message.has_price = True
        message.input_price_nano_usd_per_million = rates.input_nano_usd_per_million
        message.cached_input_price_nano_usd_per_million = rates.cached_input_nano_usd_per_million
        message.output_price_nano_usd_per_million = rates.output_nano_usd_per_million
    return message
