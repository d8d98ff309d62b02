"""Lists models and groups for callers."""

from parley.model_router.v1 import model_router_service_pb2 as pb

from parley_services.kit.chat import to_proto as chat_to_proto
from parley_services.kit.models import to_proto
from parley_services.model_router.route.routes import RouteHealth
from parley_services.model_router.router import Router


def list_models(router: Router) -> pb.ListModelsResponse:
    """Return all that can be asked for, by name, with its health."""
    response = to_proto.catalogue(router.listed())
    for message in response.models:
        health = router.health(router.catalogue.models[message.name])
        message.health.CopyFrom(_health(health))
    return response


def _health(health: RouteHealth) -> pb.RouteHealth:
    return pb.RouteHealth(
        breaker=pb.BreakerState.ValueType(health.breaker),
        error_rate=health.error_rate,
        first_token_p50=chat_to_proto.optional_duration(health.first_token_p50_seconds),
        first_token_p99=chat_to_proto.optional_duration(health.first_token_p99_seconds),
        in_flight_count=health.in_flight_count,
        concurrency_limit=health.concurrency_limit,
    )
