"""What a turn may cost before it runs, and what an attempt did cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import PriceUnknown
from parley_services.kit.models.prices import SIMULATED, Price

_MILLION = 1_000_000
CAPPED_VERSION = "cap"
"""Stands for the price table in an entry that was priced at the cap."""


class Prices(Protocol):
    """A table of prices, as `parley_services.kit.models.prices.PriceTable`."""

    version: str

    def price(self, *, provider: str, model: str, at: datetime) -> Price | None:
        """Return the price, None if it is not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The price of a model at a time."""

    model: str
    price: Price
    version: str

    def cost_nano_usd(self, usage: Usage) -> int:
        """Return what *usage* costs."""
        return self.price.cost_nano_usd(usage)

    def estimate_nano_usd(self, input_token_count: int, output_token_count: int) -> int:
        """Return what a call of that size costs with nothing cached."""
        return self.price.cost_nano_usd(
            Usage(input_token_count=input_token_count, output_token_count=output_token_count)
        )

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
        rate = self.price.rates_for(input_token_count).output_nano_usd_per_million
        left = amount_nano_usd - self.estimate_nano_usd(input_token_count, 0)
        if left <= 0:
            return 0
        return left * _MILLION // rate if rate else _MILLION


class Pricer:
    """
    Prices models by name.

    A turn names a model, a group or nothing; *groups* says which model stands for a group.
    *cap* prices models that the table does not know; without it they are refused.
    """

    def __init__(
        self,
        prices: Prices,
        *,
        default_model: str,
        groups: Mapping[str, str],
        cap: Price | None = None,
        worst: Price,
    ) -> None:
        self._prices = prices
        self._default_model = default_model
        self._groups = dict(groups)
        self._cap = cap
        self._worst = worst

    def quote(self, model: str, at: datetime) -> Quote:
        """
        Return the price of *model*, a group or `provider/model`.

        Raises PriceUnknown if it has none and no cap is set.
        """
        name = self._groups.get(model, model) or self._default_model
        provider, slash, rest = name.partition("/")
        price = self._prices.price(provider=provider, model=rest, at=at) if slash else None
        if price is None:
            # The price of a simulated model is that of the model it is named after.
            price = self._prices.price(provider=SIMULATED, model=name, at=at)
        if price is not None:
            return Quote(model=name, price=price, version=self._prices.version)
        if self._cap is not None:
            return Quote(model=name, price=self._cap, version=CAPPED_VERSION)
        raise PriceUnknown(
            f"The model {name} has no price: add it to the price file, or set a cap.",
            metadata={"model": name},
        )

    def quote_running(self, model: str, at: datetime) -> Quote:
        """Return the price of a turn that runs: as `quote`, but the dearest if there is none."""
        try:
            return self.quote(model, at)
        except PriceUnknown:
            return Quote(model=model, price=self._worst, version=CAPPED_VERSION)

    def quote_used(self, provider: str, model: str, at: datetime) -> Quote:
        """
        Return the price of a call that was made.

        It is never free: without a price or a cap it costs what the dearest model costs,
        until a correction says better.
        """
        price = self._prices.price(provider=provider, model=model, at=at)
        if price is not None:
            return Quote(model=model, price=price, version=self._prices.version)
        return Quote(model=model, price=self._cap or self._worst, version=CAPPED_VERSION)
