"""
What a model call costs, in billionths of a US dollar. Imports neither grpc nor protobuf.

The table is the one of the `genai-prices` wheel; an operator's file goes before it. All
sums are integers, and a cost is rounded once, at its end.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import PriceUnknown

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

SIMULATED = "simulated"
"""The provider whose models are priced as the models that they imitate."""

_NANO = 1_000_000_000
_MILLION = 1_000_000
_LOOKUPS_KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Nano-dollars for 1,000,000 tokens of each kind."""

    input_nano_usd_per_million: int
    cached_input_nano_usd_per_million: int
    cache_write_nano_usd_per_million: int
    cache_write_1h_nano_usd_per_million: int
    output_nano_usd_per_million: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates for all tokens of a call whose input is longer than a threshold."""

    above_input_token_count: int
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of a model: rates for short inputs, then those of longer ones, ascending."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    call_nano_usd: int = 0
    """What each call costs besides its tokens."""

    def rates_for(self, input_token_count: int) -> Rates:
        """Return the rates of a call; a tier applies to all of its tokens."""
        rates = self.rates
        for tier in self.tiers:
            if input_token_count > tier.above_input_token_count:
                rates = tier.rates
        return rates

    def cost_nano_usd(self, usage: Usage) -> int:
        """Return what *usage* costs, rounded half up once."""
        rates = self.rates_for(usage.input_token_count)
        cached = min(usage.cached_input_token_count, usage.input_token_count)
        written = min(usage.cache_write_token_count, usage.input_token_count - cached)
        long_written = min(usage.cache_write_1h_token_count, written)
        plain = usage.input_token_count - cached - written
        millionths = (
            plain * rates.input_nano_usd_per_million
            + cached * rates.cached_input_nano_usd_per_million
            + (written - long_written) * rates.cache_write_nano_usd_per_million
            + long_written * rates.cache_write_1h_nano_usd_per_million
            + usage.output_token_count * rates.output_nano_usd_per_million
        )
        return self.call_nano_usd + (millionths + _MILLION // 2) // _MILLION


def flat_price(nano_usd_per_million_tokens: int) -> Price:
    """Return a price that is the same for every kind of token."""
    return Price(
        rates=Rates(
            input_nano_usd_per_million=nano_usd_per_million_tokens,
            cached_input_nano_usd_per_million=nano_usd_per_million_tokens,
            cache_write_nano_usd_per_million=nano_usd_per_million_tokens,
            cache_write_1h_nano_usd_per_million=nano_usd_per_million_tokens,
            output_nano_usd_per_million=nano_usd_per_million_tokens,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride:
    """One row of the operator's file."""

    provider: str
    model: str
    """The model's name; a `*` at its end stands for any ending."""
    price: Price
    since: date = date.min
    """The first day, in UTC, on which it holds."""

    def covers(self, provider: str, model: str, at: datetime) -> bool:
        """Tell whether the row prices a call of *model* at that time."""
        if self.model.endswith("*"):
            same_model = model.startswith(self.model[:-1])
        else:
            same_model = model == self.model
        return same_model and provider == self.provider and self.since <= at.astimezone(UTC).date()


class PriceTable:
    """
    Prices of models by provider, name and time.

    Safe to share; lookups are cached within a bound.
    """

    def __init__(
        self,
        *,
        version: str,
        providers: "list[Provider]",
        overrides: tuple[PriceOverride, ...] = (),
    ) -> None:
        self.version = version
        """Names the table in the ledger, so that a booking can be explained later."""
        self._providers = providers
        # The last row of the file that covers a call wins.
        self._overrides = tuple(reversed(overrides))
        self._find: Callable[[str, str], ModelInfo | None] = lru_cache(_LOOKUPS_KEPT)(
            self._find_model
        )
        self._converted: dict[int, Price | None] = {}

    @classmethod
    def load(cls, overrides_path: Path | None = None) -> "PriceTable":
        """
        Read the wheel's table and the operator's file.

        The file is YAML: `prices`, a list of `provider`, `model`, and US dollars for
        1,000,000 tokens as `input`, `output` and, if they differ from `input`,
        `cached_input`, `cache_write` and `cache_write_1h`; optional are `per_call`
        (dollars for a call) and `since` (a date). Raises ValueError that names the row when
        one is wrong, OSError when the file cannot be read.
        """
        from genai_prices.data import providers

        version = f"genai-prices-{installed_version('genai-prices')}"
        if overrides_path is None:
            return cls(version=version, providers=providers)
        content = overrides_path.read_bytes()
        return cls(
            version=f"{version}+{hashlib.sha256(content).hexdigest()[:8]}",
            providers=providers,
            overrides=_parse_overrides(content),
        )

    def price(self, *, provider: str, model: str, at: datetime) -> Price | None:
        """Return the price of *model* at that time, or None if it is not known."""
        for override in self._overrides:
            if override.covers(provider, model, at):
                return override.price
        found = self._find(provider, model)
        if found is None:
            return None
        model_price = found.get_prices(at)
        key = id(model_price)
        if key not in self._converted:
            self._converted[key] = _convert(model_price)
        return self._converted[key]

    def cost_nano_usd(self, *, provider: str, model: str, usage: Usage, at: datetime) -> int:
        """
        Return what *usage* costs, rounded half up once.

        Raises PriceUnknown for a model without a price: it is never free by accident.
        """
        price = self.price(provider=provider, model=model, at=at)
        if price is None:
            raise PriceUnknown(
                f"The model {model} of {provider} has no price; add it to the price file.",
                metadata={"model": model},
            )
        return price.cost_nano_usd(usage)

    def context_token_count(self, *, provider: str, model: str) -> int | None:
        """Return how many tokens *model* reads and writes at most, or None if unknown."""
        found = self._find(provider, model)
        return None if found is None else found.context_window

    def _find_model(self, provider: str, model: str) -> "ModelInfo | None":
        name = model.lower()
        if provider == SIMULATED:
            home = next(
                (
                    each
                    for each in self._providers
                    if each.model_match is not None and each.model_match.is_match(name)
                ),
                None,
            )
        else:
            home = self._find_provider(provider.lower())
        return home.find_model(name, all_providers=self._providers) if home else None

    def _find_provider(self, name: str) -> "Provider | None":
        for each in self._providers:
            if each.id == name:
                return each
        for each in self._providers:
            if each.provider_match is not None and each.provider_match.is_match(name):
                return each
        return None


def _convert(price: "ModelPrice") -> Price | None:
    """Return *price* in nano-dollars, or None if it does not price text tokens."""
    if price.input_mtok is None and price.output_mtok is None:
        return None
    kinds = (
        price.input_mtok,
        _first_known(price.cache_read_mtok, price.input_mtok),
        _first_known(price.cache_write_mtok, price.input_mtok),
        _first_known(price.cache_write_1h_mtok, price.cache_write_mtok, price.input_mtok),
        price.output_mtok,
    )
    starts = sorted({tier.start for each in kinds for tier in getattr(each, "tiers", ())})
    per_thousand_calls = price.requests_kcount
    return Price(
        rates=_rates([_rate(each, 0) for each in kinds]),
        tiers=tuple(
            Tier(
                above_input_token_count=start,
                rates=_rates([_rate(each, start + 1) for each in kinds]),
            )
            for start in starts
        ),
        call_nano_usd=nano_usd(_rate(per_thousand_calls, 0) / 1000),
    )


def _first_known(*values: Any) -> Any:
    return next((each for each in values if each is not None), None)


def _rate(value: Any, input_token_count: int) -> Decimal:
    """Return dollars for a million tokens; *value* is a Decimal, `TieredPrices` or None."""
    if value is None:
        return Decimal(0)
    if isinstance(value, Decimal):
        return value
    rate: Decimal = value.base
    for tier in value.tiers:
        if input_token_count > tier.start:
            rate = tier.price
    return rate


def _rates(dollars: list[Decimal]) -> Rates:
    read, cached, written, long_written, output = (nano_usd(each) for each in dollars)
    return Rates(
        input_nano_usd_per_million=read,
        cached_input_nano_usd_per_million=cached,
        cache_write_nano_usd_per_million=written,
        cache_write_1h_nano_usd_per_million=long_written,
        output_nano_usd_per_million=output,
    )


def nano_usd(dollars: Decimal) -> int:
    """Return US dollars in billionths, rounded half up."""
    return int((dollars * _NANO).to_integral_value(rounding="ROUND_HALF_UP"))


def _parse_overrides(content: bytes) -> tuple[PriceOverride, ...]:
    document = yaml.safe_load(content)
    if not isinstance(document, Mapping) or not isinstance(document.get("prices"), list):
        raise ValueError("The price file must hold a list named `prices`.")
    return tuple(_parse_row(number, row) for number, row in enumerate(document["prices"], 1))


def _parse_row(number: int, row: Any) -> PriceOverride:
    known = {
        "provider", "model", "input", "output", "cached_input", "cache_write", "cache_write_1h",
        "per_call", "since",
    }  # fmt: skip
    where = f"Row {number} of the price file"
    if not isinstance(row, Mapping):
        raise ValueError(f"{where} is not a mapping.")
    if unknown := sorted(set(row) - known):
        raise ValueError(f"{where} has the unknown field {unknown[0]}.")
    for field in ("provider", "model", "input", "output"):
        if field not in row:
            raise ValueError(f"{where} lacks {field}.")
    since = row.get("since", date.min)
    if isinstance(since, datetime) or not isinstance(since, date):
        raise ValueError(f"{where}: since must be a date, as 2026-01-31.")

    def dollars(field: str, default: Decimal) -> Decimal:
        try:
            value = Decimal(str(row.get(field, default)))
        except InvalidOperation:
            value = Decimal(-1)
        if not value.is_finite() or value < 0:
            raise ValueError(f"{where}: {field} must be a number of US dollars, 0 or more.")
        return value

    read = dollars("input", Decimal(0))
    written = dollars("cache_write", read)
    return PriceOverride(
        provider=str(row["provider"]),
        model=str(row["model"]),
        since=since,
        price=Price(
            rates=_rates(
                [
                    read,
                    dollars("cached_input", read),
                    written,
                    dollars("cache_write_1h", written),
                    dollars("output", Decimal(0)),
                ]
            ),
            call_nano_usd=nano_usd(dollars("per_call", Decimal(0))),
        ),
    )
