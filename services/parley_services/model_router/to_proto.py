"""
Turns what the router says into messages of its proto, one function a noun.

Import the module, not the functions: `to_proto.response(...)`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from parley.chat.v1 import answer_pb2
from parley.model_router.v1 import model_router_service_pb2 as pb

from parley_services.kit.chat import to_proto as chat_to_proto
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.models import to_proto as models_to_proto
from parley_services.kit.models.catalogue import ModelCatalogue
from parley_services.model_router.providers.provider import (
    Logprobs,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)
from parley_services.model_router.route.provider_key_pool import KeyHealth
from parley_services.model_router.route.routes import RouteHealth
from parley_services.model_router.stream.events import (
    AttemptEnded,
    Completed,
    RouteChosen,
    RouterEvent,
    Switched,
)


def response(event: RouterEvent) -> pb.GenerateResponse:
    """Return an event of an answer as a message."""
    match event:
        case TextDelta(text=text):
            return pb.GenerateResponse(text=text)
        case ReasoningDelta(text=text):
            return pb.GenerateResponse(reasoning=text)
        case ToolCallDone(call=call):
            return pb.GenerateResponse(tool_call=chat_to_proto.tool_call(call))
        case Logprobs():
            return pb.GenerateResponse(logprobs=logprobs(event))
        case AttemptEnded(attempt=attempt):
            return pb.GenerateResponse(attempt=chat_to_proto.attempt(attempt))
        case RouteChosen():
            return pb.GenerateResponse(route=route(event))
        case Switched():
            return pb.GenerateResponse(switched=switched(event))
        case Completed():
            return pb.GenerateResponse(completed=completed(event))
        case _:
            assert_never(event)


def route(value: RouteChosen) -> pb.GenerateResponse.RouteChosen:
    """Return the route that is asked as a message."""
    return pb.GenerateResponse.RouteChosen(
        provider=value.provider,
        model=value.model,
        reason=pb.RouteReason.ValueType(value.reason),
        attempt_number=value.attempt_number,
    )


def switched(value: Switched) -> pb.GenerateResponse.Switched:
    """Return a change of the route as a message."""
    return pb.GenerateResponse.Switched(
        from_model=value.from_model,
        to_model=value.to_model,
        to_provider=value.to_provider,
        reason=value.reason,
        restarts=value.restarts,
        attempt_number=value.attempt_number,
    )


def completed(value: Completed) -> pb.GenerateResponse.Completed:
    """Return the end of an answer as a message."""
    return pb.GenerateResponse.Completed(
        finish_reason=answer_pb2.FinishReason.ValueType(value.finish_reason),
        provider_finish_reason=value.provider_finish_reason,
        provider=value.provider,
        model=value.model,
        usage=chat_to_proto.usage(value.usage),
        cost_nano_usd=value.cost_nano_usd,
    )


def logprobs(value: Logprobs) -> pb.GenerateResponse.Logprobs:
    """Return log probabilities as a message."""
    return pb.GenerateResponse.Logprobs(
        tokens=[
            pb.TokenLogprob(
                token=each.token,
                logprob=each.logprob,
                top=[
                    pb.TokenLogprob.Alternative(token=other.token, logprob=other.logprob)
                    for other in each.top
                ],
            )
            for each in value.tokens
        ]
    )


def attempt_list(values: Sequence[Attempt]) -> pb.AttemptList:
    """Return several attempts as a message."""
    return pb.AttemptList(attempts=map(chat_to_proto.attempt, values))


def model_list(
    catalogue: ModelCatalogue,
    health_of: Callable[[str], RouteHealth],
    keys: Mapping[str, Sequence[KeyHealth]],
    *,
    now: datetime,
) -> pb.ListModelsResponse:
    """
    Return *catalogue* as a message, each model with what *health_of* says of its name.

    *keys* are those of each provider.
    """
    message = models_to_proto.catalogue(catalogue)
    for model in message.models:
        model.health.CopyFrom(health(health_of(model.name)))
    for name, its_keys in keys.items():
        message.providers.add(name=name, keys=[provider_key(each, now=now) for each in its_keys])
    return message


def provider_key(value: KeyHealth, *, now: datetime) -> pb.ProviderKey:
    """Return how a key does as a message."""
    message = pb.ProviderKey(ending=value.ending, rest_reason=value.rest_reason)
    if value.rest_reason:
        at = now + timedelta(seconds=value.retry_after_seconds)
        message.retry_time.CopyFrom(chat_to_proto.timestamp(at))
    return message


def health(value: RouteHealth) -> pb.RouteHealth:
    """Return how a route does as a message."""
    return pb.RouteHealth(
        breaker=pb.BreakerState.ValueType(value.breaker),
        error_rate=value.error_rate,
        first_token_p50=chat_to_proto.optional_duration(value.first_token_p50_seconds),
        first_token_p99=chat_to_proto.optional_duration(value.first_token_p99_seconds),
        in_flight_count=value.in_flight_count,
        concurrency_limit=value.concurrency_limit,
    )
