"""
Turns the router's list of models into the shared catalogue.

Import the module, not the functions: `from_proto.catalogue(...)`. `to_proto` is the way back.
"""

from parley.model_router.v1 import model_router_service_pb2 as pb

from parley_services.kit.models.catalogue import ListedModel, ModelCatalogue, catalogue_of
from parley_services.kit.models.prices import Price, Rates, Tier


def catalogue(message: pb.ListModelsResponse) -> ModelCatalogue:
    """Return all that can be asked for."""
    return catalogue_of(
        map(model, message.models),
        {group.name: tuple(group.models) for group in message.groups},
        default_group=message.default_group,
        auto=(message.auto.small, message.auto.large) if message.HasField("auto") else (),
    )


def model(message: pb.Model) -> ListedModel:
    """Return a model, without its health."""
    return ListedModel(
        name=message.name,
        provider=message.provider,
        provider_model=message.provider_model,
        aliases=tuple(message.aliases),
        context_token_count=message.context_token_count,
        max_output_token_count=message.max_output_token_count,
        features=frozenset(message.features),
        price=price(message.price) if message.HasField("price") else None,
        price_version=message.price.version,
        tokenizer=message.tokenizer,
    )


def price(message: pb.ModelPrice) -> Price:
    """Return what a model costs."""
    return Price(
        rates=rates(message.rates),
        tiers=tuple(
            Tier(above_input_token_count=tier.above_input_token_count, rates=rates(tier.rates))
            for tier in message.tiers
        ),
        call_nano_usd=message.call_nano_usd,
    )


def rates(message: pb.TokenRates) -> Rates:
    """Return the rates of a call."""
    return Rates(
        input_nano_usd_per_million=message.input_nano_usd_per_million,
        cached_input_nano_usd_per_million=message.cached_input_nano_usd_per_million,
        cache_write_nano_usd_per_million=message.cache_write_nano_usd_per_million,
        cache_write_1h_nano_usd_per_million=message.cache_write_1h_nano_usd_per_million,
        output_nano_usd_per_million=message.output_nano_usd_per_million,
    )
