"""Lists models and groups for callers."""

from collections.abc import Mapping
from typing import Final

from parley.model_router.v1 import model_router_service_pb2 as pb

from parley_services.kit.chat import to_proto
from parley_services.model_router.route.breaker import BreakerState
from parley_services.model_router.route.catalogue import Model
from parley_services.model_router.route.routes import RouteHealth
from parley_services.model_router.router import Router

BREAKER_STATES: Final["Mapping[BreakerState, pb.BreakerState.ValueType]"] = {
    BreakerState.CLOSED: pb.BREAKER_STATE_CLOSED,
    BreakerState.HALF_OPEN: pb.BREAKER_STATE_HALF_OPEN,
    BreakerState.OPEN: pb.BREAKER_STATE_OPEN,
}


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
        health=_health(router.health(model)),
        aliases=model.aliases,
        price_name=model.traits.name,
    )
    price = router.price(model)
    if price is not None:
        rates = price.rates
        message.priced = True
        message.input_price_nano_usd_per_million = rates.input_nano_usd_per_million
        message.cached_input_price_nano_usd_per_million = rates.cached_input_nano_usd_per_million
        message.output_price_nano_usd_per_million = rates.output_nano_usd_per_million
    return message


def _health(health: RouteHealth) -> pb.RouteHealth:
    message = pb.RouteHealth(
        breaker=BREAKER_STATES[health.breaker],
        error_rate=health.error_rate,
        in_flight_count=health.in_flight_count,
        concurrency_limit=health.concurrency_limit,
    )
    if health.first_token_p50_seconds is not None:
        message.first_token_p50.CopyFrom(to_proto.duration(health.first_token_p50_seconds))
    if health.first_token_p99_seconds is not None:
        message.first_token_p99.CopyFrom(to_proto.duration(health.first_token_p99_seconds))
    return message
