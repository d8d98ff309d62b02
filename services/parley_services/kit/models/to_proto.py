"""
Turns the shared catalogue into the router's list of models.

Import the module, not the functions: `to_proto.model(...)`. `from_proto` is the way back.
"""

from parley.model_router.v1 import model_router_service_pb2 as pb

from parley_services.kit.models.catalogue import ListedModel, ModelCatalogue
from parley_services.kit.models.prices import Price, Rates


def catalogue(value: ModelCatalogue) -> pb.ListModelsResponse:
    """Return all that can be asked for, by name, as a message."""
    return pb.ListModelsResponse(
        models=[model(each) for _, each in sorted(value.models.items())],
        groups=[
            pb.ModelGroup(name=name, models=members)
            for name, members in sorted(value.groups.items())
        ],
        default_group=value.default_group,
        auto=pb.AutoChoice(small=value.auto[0], large=value.auto[1]) if value.auto else None,
    )


def model(value: ListedModel) -> pb.Model:
    """Return a model as a message, without its health."""
    return pb.Model(
        name=value.name,
        provider=value.provider,
        context_token_count=value.context_token_count,
        max_output_token_count=value.max_output_token_count,
        features=sorted(value.features),
        aliases=value.aliases,
        provider_model=value.provider_model,
        price=None if value.price is None else price(value.price, value.price_version),
        tokenizer=value.tokenizer,
    )


def price(value: Price, version: str) -> pb.ModelPrice:
    """Return what a model costs by that *version* of the price table as a message."""
    return pb.ModelPrice(
        rates=rates(value.rates),
        tiers=[
            pb.PriceTier(
                above_input_token_count=tier.above_input_token_count, rates=rates(tier.rates)
            )
            for tier in value.tiers
        ],
        call_nano_usd=value.call_nano_usd,
        version=version,
    )


def rates(value: Rates) -> pb.TokenRates:
    """Return the rates of a call as a message."""
    return pb.TokenRates(
        input_nano_usd_per_million=value.input_nano_usd_per_million,
        cached_input_nano_usd_per_million=value.cached_input_nano_usd_per_million,
        cache_write_nano_usd_per_million=value.cache_write_nano_usd_per_million,
        cache_write_1h_nano_usd_per_million=value.cache_write_1h_nano_usd_per_million,
        output_nano_usd_per_million=value.output_nano_usd_per_million,
    )
