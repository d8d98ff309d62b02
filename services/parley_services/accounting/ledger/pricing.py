"""What a turn may cost before it runs, and what an attempt did cost."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import NotFound, PriceUnknown
from parley_services.kit.models.catalogue import AUTO, ListedModel, ModelCatalogue
from parley_services.kit.models.prices import SIMULATED, Price, flat_price

_MILLION = 1_000_000

CAPPED_VERSION = "cap"
"""Stands for the price table in an entry that was priced at the cap."""

HELD_VERSION = "hold"
"""Stands for the price table in an entry that was priced as the model of its hold, since its
own model has no price."""

_NOTHING = flat_price(0)
"""Is only reached by who did not `check`."""

Models = Callable[[], ModelCatalogue | None]
"""Returns what the router offers, None until it has said so for the first time."""


class Prices(Protocol):
    """A table of prices, as `parley_services.kit.models.prices.PriceTable`."""

    version: str

    def price(self, *, provider: str, model: str, at: datetime) -> Price | None:
        """Return the price, None if it is not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The prices of all routes that may answer who asks for a model or a group."""

    model: str
    """The name that was asked for, or what it stands for if it was empty."""
    prices: tuple[Price, ...]
    """At least one; the first is that of the first choice."""
    version: str

    def cost_nano_usd(self, usage: Usage) -> int:
        """Return what *usage* costs with the dearest route."""
        return max(price.cost_nano_usd(usage) for price in self.prices)

    def estimate_nano_usd(self, input_token_count: int, output_token_count: int) -> int:
        """Return what a call of that size costs with the dearest route and nothing cached."""
        return self.cost_nano_usd(_usage(input_token_count, output_token_count))

    def expected_nano_usd(self, input_token_count: int, output_token_count: int) -> int:
        """Return what such a call costs with the route that is the first choice."""
        return self.prices[0].cost_nano_usd(_usage(input_token_count, output_token_count))

    def hold(
        self, input_token_count: int, output_token_count: int, send_count: int, room_nano_usd: int
    ) -> tuple[int, int]:
        """
        Return how often *room_nano_usd* lets the input be sent, and what to set aside for it.

        The amount covers the output once and the input as often as that: *send_count* times, or
        less if there is no room, but once in any case.
        """
        once = self.estimate_nano_usd(input_token_count, output_token_count)
        again = self.estimate_nano_usd(input_token_count, 0)
        spare = max(0, room_nano_usd - once)
        more = max(0, send_count - 1)
        if again:
            more = min(more, spare // again)
        return 1 + more, once + more * again

    def output_token_count_for(self, amount_nano_usd: int, input_token_count: int) -> int:
        """Return how many output tokens fit into *amount_nano_usd* beside one input."""
        left = amount_nano_usd - self.estimate_nano_usd(input_token_count, 0)
        if left <= 0:
            return 0
        rate = max(
            price.rates_for(input_token_count).output_nano_usd_per_million for price in self.prices
        )
        return left * _MILLION // rate if rate else _MILLION


class Pricer:
    """
    Prices what can be asked for, by the router's list of models.

    A turn names a model, an alias, a group, `auto` or nothing. Until the router was reached for
    the first time, models are looked up in the packaged table, and what is not in it is priced
    as *default_model*. *cap* prices what the router does not know; without it that is refused.
    """

    def __init__(
        self, prices: Prices, *, models: Models, default_model: str, cap: Price | None = None
    ) -> None:
        self._prices = prices
        self._models = models
        self._default_model = default_model
        self._cap = cap

    def quote(self, name: str, at: datetime) -> Quote:
        """
        Return the price of *name*.

        Raises PriceUnknown if it has none and no cap is set.
        """
        quote = self._listed(name) or self._tabled(name, at)
        if quote is None and self._models() is None:
            quote = self._tabled(self._default_model, at)
        if quote is None and self._cap is not None:
            quote = Quote(model=name, prices=(self._cap,), version=CAPPED_VERSION)
        if quote is None:
            raise PriceUnknown(
                f"The model {name} has no price: add it to the router's price file, or set a cap.",
                metadata={"model": name},
            )
        return quote

    def check(self, at: datetime) -> None:
        """Raise ValueError unless *default_model* has a price, the last resort of all others."""
        if self._tabled(self._default_model, at) is None and self._cap is None:
            raise ValueError(
                f"The policy's default_model {self._default_model} has no price: name a model of "
                "the price table, add it to the price file, or set a cap."
            )

    def quote_running(self, name: str, at: datetime, held: str = "") -> Quote:
        """
        Return the price of a turn that runs, also if it has none.

        It is that of *name*, else that of *held*, for which money was set aside, else that of
        the default model.
        """
        for each in (name, held):
            try:
                return self.quote(each, at)
            except PriceUnknown:
                continue
        return self._tabled(self._default_model, at) or Quote(
            model=name, prices=(self._cap or _NOTHING,), version=CAPPED_VERSION
        )

    def quote_used(self, provider: str, model: str, at: datetime, held: str = "") -> Quote:
        """
        Return the price of a call that was made, which is never free.

        It is that of its route. What has none costs the cap, or without a cap as much as *held*,
        the model that money was set aside for.
        """
        catalogue = self._models()
        listed = catalogue.of_route(provider, model) if catalogue is not None else None
        if listed is not None and listed.price is not None:
            return Quote(model=model, prices=(listed.price,), version=listed.price_version)
        price = self._prices.price(provider=provider, model=model, at=at)
        if price is not None:
            return Quote(model=model, prices=(price,), version=self._prices.version)
        if self._cap is not None:
            return Quote(model=model, prices=(self._cap,), version=CAPPED_VERSION)
        prices = self.quote_running(held, at).prices
        return Quote(model=model, prices=prices, version=HELD_VERSION)

    def cheaper(
        self,
        asked: Quote,
        name: str,
        at: datetime,
        *,
        input_token_count: int,
        output_token_count: int,
    ) -> Quote | None:
        """
        Return the cheapest way to answer a turn of that size, if it is cheaper than *asked*.

        The ways are *name*, if the router offers it, and the groups that `auto` chooses between
        if the turn asks for `auto`. First choices are compared, since they will most likely run.
        """
        size = (input_token_count, output_token_count)
        catalogue = self._models()
        if catalogue is None:
            ways = [self.quote(name, at)]
        else:
            ways = [quote for quote in [self._listed(name)] if quote is not None]
        expected = asked.expected_nano_usd(*size)
        if asked.model == AUTO and catalogue is not None:
            choices = [quote for each in catalogue.auto if (quote := self._listed(each))]
            expected = max((each.expected_nano_usd(*size) for each in choices), default=0)
            ways += choices
        best = min(ways, key=lambda quote: quote.expected_nano_usd(*size), default=asked)
        return best if best.expected_nano_usd(*size) < expected else None

    def _listed(self, name: str) -> Quote | None:
        """Return the price of *name* by the router's list, None if it says nothing of it."""
        catalogue = self._models()
        if catalogue is None:
            return None
        routes = _routes(catalogue, name)
        priced = [route for route in routes if route.price is not None]
        if not priced:
            return None
        return Quote(
            model=name or catalogue.default_group,
            prices=tuple(route.price for route in priced if route.price is not None),
            version=priced[0].price_version,
        )

    def _tabled(self, name: str, at: datetime) -> Quote | None:
        provider, slash, rest = name.partition("/")
        price = self._prices.price(provider=provider, model=rest, at=at) if slash else None
        if price is None and name:
            # The price of a simulated model is that of the model it is named after.
            price = self._prices.price(provider=SIMULATED, model=name, at=at)
        if price is None:
            return None
        return Quote(model=name, prices=(price,), version=self._prices.version)


def _routes(catalogue: ModelCatalogue, name: str) -> tuple[ListedModel, ...]:
    """Return the models that *name* stands for: a name to ask for, a route, or its model."""
    try:
        return catalogue.routes(name)
    except NotFound:
        pass
    provider, slash, model = name.partition("/")
    if slash and (route := catalogue.of_route(provider, model)) is not None:
        return (route,)
    # Whoever extends a hold names the model as its provider calls it.
    return tuple(each for each in catalogue.models.values() if each.provider_model == name)


def _usage(input_token_count: int, output_token_count: int) -> Usage:
    return Usage(input_token_count=input_token_count, output_token_count=output_token_count)
