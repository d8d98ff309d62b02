"""Which models a request may be sent to, in which order."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from parley_services.kit.chat.usage import Usage
from parley_services.kit.models.prices import Price
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.route.catalogue import Conditions, Group, Link, Model
from parley_services.model_router.route.route_reason import RouteReason

UNKNOWN_OUTPUT_TOKENS: Final = 4096
"""What an answer is taken to have at most where nobody names a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A model that the request may be sent to."""

    model: Model
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where a request goes: step by step, as long as it fails."""

    group: str
    steps: tuple[Step, ...]
    """Not empty unless nothing fits."""
    reason: RouteReason
    """Why the first step is the first."""
    input_token_count: int
    cached_answer_last: bool
    unpriced: tuple[str, ...] = ()
    """Models that were left out since nobody knows what they cost."""


def plan_chain(
    group: Group,
    request: GenerationRequest,
    *,
    reason: RouteReason,
    input_token_count: int,
    price_of: Callable[[Model], Price | None],
    draw: random.Random,
) -> Plan:
    """Return the steps of *group* that fit *request*: by priority, then drawn by weight."""
    steps: list[Step] = []
    unpriced: list[str] = []
    by_priority = attrgetter("priority")
    for _, links in groupby(sorted(group.links, key=by_priority), key=by_priority):
        for link in _drawn_by_weight(list(links), draw):
            price = price_of(link.model)
            if price is None:
                unpriced.append(link.model.name)
            elif _fits(link, request, input_token_count, price):
                steps.append(Step(model=link.model, price=price))
    return Plan(
        group=group.name,
        steps=tuple(steps),
        reason=reason,
        input_token_count=input_token_count,
        cached_answer_last=group.cached_answer_last,
        unpriced=tuple(unpriced),
    )


def _drawn_by_weight(links: list[Link], draw: random.Random) -> list[Link]:
    if len(links) == 1:
        return links
    # Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
    return sorted(links, key=lambda link: draw.random() ** (1 / link.weight), reverse=True)


def _fits(link: Link, request: GenerationRequest, input_token_count: int, price: Price) -> bool:
    model, conditions = link.model, link.conditions
    needed = set()
    if request.tools:
        needed.add("tools")
    if request.has_images:
        needed.add("vision")
    if request.response_format.is_json:
        needed.add(request.response_format.type.key)
    if request.top_logprob_count is not None:
        needed.add("logprobs")
    if not needed <= model.features:
        return False
    if model.context_token_count and input_token_count >= model.context_token_count:
        return False
    return _holds(conditions, link, request, input_token_count, price)


def _holds(
    conditions: Conditions,
    link: Link,
    request: GenerationRequest,
    input_token_count: int,
    price: Price,
) -> bool:
    most = conditions.max_input_token_count
    if input_token_count < conditions.min_input_token_count:
        return False
    if most is not None and input_token_count > most:
        return False
    if conditions.needs_tools not in (None, bool(request.tools)):
        return False
    if conditions.needs_images not in (None, request.has_images):
        return False
    if conditions.regions and link.model.region not in conditions.regions:
        return False
    if conditions.max_cost_nano_usd is None:
        return True
    traits = link.model.traits
    output = (
        request.parameters.max_output_token_count
        or traits.max_output_token_count
        or UNKNOWN_OUTPUT_TOKENS
    )
    worst = Usage(input_token_count=input_token_count, output_token_count=output)
    return price.cost_nano_usd(worst) <= conditions.max_cost_nano_usd
