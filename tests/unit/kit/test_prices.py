from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import PriceUnknown
from parley_services.kit.models.prices import Price, PriceTable, Rates, Tier

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def table():
    return PriceTable.load()


def rates(value):
    return Rates(
        input_nano_usd_per_million=value,
        cached_input_nano_usd_per_million=value,
        cache_write_nano_usd_per_million=value,
        cache_write_1h_nano_usd_per_million=value,
        output_nano_usd_per_million=value,
    )


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("openai", "gpt-6.1-sol"),
        ("anthropic", "claude-sonnet-5-5"),
        ("anthropic", "claude-haiku-5-5"),
    ],
)
@given(
    plain=st.integers(0, 500_000),
    cached=st.integers(0, 500_000),
    output=st.integers(0, 100_000),
)
def test_agrees_with_the_library_that_the_table_comes_from(
    table, provider, model, plain, cached, output
):
    usage = Usage(
        input_token_count=plain + cached,
        cached_input_token_count=cached,
        output_token_count=output,
    )
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=plain + cached, cache_read_tokens=cached, output_tokens=output
        ),
        model_ref=model,
        provider_id=provider,
        genai_request_timestamp=NOW,
    ).total_price
    ours = table.cost_nano_usd(provider=provider, model=model, usage=usage, at=NOW)
    assert ours == (theirs * 10**9).to_integral_value(ROUND_HALF_UP)


def test_the_price_is_that_of_the_day(table):
    usage = Usage(input_token_count=1_000_000)

    def cost(at):
        return table.cost_nano_usd(provider="openai", model="o3", usage=usage, at=at)

    assert cost(datetime(2025, 6, 9, tzinfo=UTC)) == 10 * 10**9
    assert cost(datetime(2025, 6, 10, tzinfo=UTC)) == 2 * 10**9


def test_a_simulated_model_costs_what_its_model_costs(table):
    usage = Usage(input_token_count=1000, output_token_count=1000)
    for provider, model in (("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-5-5")):
        real = table.cost_nano_usd(provider=provider, model=model, usage=usage, at=NOW)
        simulated = table.cost_nano_usd(provider="simulated", model=model, usage=usage, at=NOW)
        assert simulated == real > 0


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "no-such-model"),
        ("nobody", "gpt-4o"),
        ("simulated", "no-such-model"),
        # Priced by the minute of sound, not by tokens.
        ("openai", "whisper-1"),
    ],
)
def test_an_unknown_price_is_an_error_and_not_zero(table, provider, model):
    assert table.price(provider=provider, model=model, at=NOW) is None
    with pytest.raises(PriceUnknown) as caught:
        table.cost_nano_usd(provider=provider, model=model, usage=Usage(), at=NOW)
    assert caught.value.metadata == {"model": model}


def test_a_cost_is_rounded_half_up_once():
    price = Price(rates=rates(500_000))
    assert price.cost_nano_usd(Usage(input_token_count=1)) == 1
    assert price.cost_nano_usd(Usage(input_token_count=1, output_token_count=1)) == 1
    assert Price(rates=rates(499_999)).cost_nano_usd(Usage(input_token_count=1)) == 0


def test_a_tier_applies_to_all_tokens_of_a_longer_call():
    price = Price(
        rates=rates(1_000_000),
        tiers=(Tier(above_input_token_count=10, rates=rates(3_000_000)),),
    )
    assert price.cost_nano_usd(Usage(input_token_count=10)) == 10
    assert price.cost_nano_usd(Usage(input_token_count=11)) == 33


def test_parts_never_exceed_the_input():
    price = Price(rates=rates(1_000_000))
    usage = Usage(input_token_count=5, cached_input_token_count=9, cache_write_token_count=9)
    assert price.cost_nano_usd(usage) == 5


class TestOperatorsFile:
    def load(self, tmp_path, text):
        path = tmp_path / "prices.yaml"
        path.write_text(text)
        return PriceTable.load(path)

    def test_goes_before_the_table_and_prices_what_the_table_lacks(self, tmp_path):
        table = self.load(
            tmp_path,
            """
            prices:
              - {provider: openai, model: gpt-4o, input: 1, output: 2}
              - {provider: vllm, model: "llama-*", input: "0.20", output: "0.20"}
              - {provider: vllm, model: "llama-3.3", input: 0.5, output: 0.5, since: 2026-11-24}
            """,
        )
        usage = Usage(input_token_count=1_000_000)

        def cost(provider, model, at=NOW):
            return table.cost_nano_usd(provider=provider, model=model, usage=usage, at=at)

        assert cost("openai", "gpt-4o") == 10**9
        assert cost("vllm", "llama-3.1") == 2 * 10**8
        assert cost("vllm", "llama-3.3") == 5 * 10**8
        assert cost("vllm", "llama-3.3", datetime(2026, 11, 23, tzinfo=UTC)) == 2 * 10**8

    def test_changes_the_version(self, tmp_path, table):
        text = "prices: [{provider: a, model: b, input: 1, output: 1}]"
        version = self.load(tmp_path, text).version
        assert version.startswith(f"{table.version}+")
        assert version != self.load(tmp_path, text.replace("1}", "2}")).version

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[]", "a list named `prices`"),
            ("prices: [3]", "Row 1 of the price file is not a mapping."),
            ("prices: [{provider: a}]", "Row 1 of the price file lacks model."),
            ("prices: [{provider: a, model: b, input: 1, output: 1, in: 2}]", "field in."),
            ("prices: [{provider: a, model: b, input: -1, output: 1}]", "input must be a number"),
            ("prices: [{provider: a, model: b, input: x, output: 1}]", "input must be a number"),
            ("prices: [{provider: a, model: b, input: .nan, output: 1}]", "input must be"),
            ("prices: [{provider: a, model: b, input: 1, output: 1, since: x}]", "a date"),
        ],
    )
    def test_a_wrong_row_is_named(self, tmp_path, text, said):
        with pytest.raises(ValueError, match=said):
            self.load(tmp_path, text)


def test_dollars_become_nano_dollars_exactly(table):
    price = table.price(provider="openai", model="gpt-4o-mini", at=NOW)
    assert Decimal(price.rates.cached_input_nano_usd_per_million) / 10**9 == Decimal("0.075")
