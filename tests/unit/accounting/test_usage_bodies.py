"""From a provider's bytes to the ledger, exact to the nano-dollar."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from parley_services.accounting.ledger.pricing import Pricer
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.settle import Settle, SettleRequest
from parley_services.accounting.limits.budget_policy import Policy
from parley_services.accounting.limits.rate_limiter import RateLimiter
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.models.prices import PriceTable
from parley_services.model_router.attempt.failures import ProviderError
from parley_services.model_router.providers.anthropic.messages_decoder import MessagesDecoder
from parley_services.model_router.providers.openai.chat_decoder import ChatDecoder
from parley_services.model_router.providers.openai.responses_decoder import ResponsesDecoder

from tests.support.clock import ManualClock
from tests.support.ledger import MemoryLedger
from tests.support.model_router import believed

CASES = yaml.safe_load(Path(__file__).with_name("usage_bodies.yaml").read_text())
WIRES = {"chat": ChatDecoder, "responses": ResponsesDecoder, "messages": MessagesDecoder}
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
OWN_PRICES = "prices: [{provider: vllm, model: our-model, input: 0.2, output: 0.6}]\n"


@pytest.fixture(scope="module")
def prices(tmp_path_factory):
    path = tmp_path_factory.mktemp("prices") / "prices.yaml"
    path.write_text(OWN_PRICES)
    return PriceTable.load(path)


@pytest.fixture
def context(prices):
    pricer = Pricer(prices, models=lambda: None, default_model="gpt-4o")
    return PricingContext(
        policy=Policy(default_model="gpt-4o"),
        pricer=pricer,
        limiter=RateLimiter(),
        lease_grace_seconds=30,
    )


def decoded(case):
    """Return the usage that the router reads out of *case*."""
    decoder = WIRES[case["wire"]]()
    if "body" in case:
        decoder.whole(json.dumps(case["body"]).encode())
        return believed(decoder.usage)
    for event in case["stream"]:
        name = f"event: {event['type']}\n" if "type" in event else ""
        decoder.feed(f"{name}data: {json.dumps(event)}\n\n".encode())
    if case.get("cut"):
        with pytest.raises(ProviderError):
            decoder.finish()
    elif case["wire"] == "chat":
        decoder.feed(b"data: [DONE]\n\n")
    return believed(decoder.usage)


def booked(context, attempt):
    """Return the entry that *attempt* becomes."""
    ledger = MemoryLedger(context, clock=ManualClock(AT))
    request = SettleRequest(
        request_id="r1",
        subject=Subject(tenant_id="acme"),
        attempts=(attempt,),
        source=AnswerSource.MODEL,
    )
    ledger.run(Settle, request)
    (entry,) = ledger.transaction.new_entries
    return entry


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_a_provider_says_is_booked_exactly(case, prices, context):
    usage = decoded(case)
    wanted = case["usage"]
    assert usage == Usage(
        input_token_count=wanted["input"],
        cached_input_token_count=wanted.get("cached", 0),
        cache_write_token_count=wanted.get("written", 0),
        output_token_count=wanted["output"],
        reasoning_token_count=wanted.get("reasoning", 0),
    )
    provider, model = case["provider"], case["model"]
    cost = prices.cost_nano_usd(provider=provider, model=model, usage=usage, at=AT)
    assert cost == case["cost_nano_usd"]
    attempt = Attempt(
        number=1,
        provider=provider,
        model=model,
        usage=usage,
        cost_nano_usd=cost,
        price_version=prices.version,
    )
    entry = booked(context, attempt)
    assert (entry.cost_nano_usd, entry.usage) == (cost, usage)
    assert entry.price_version == prices.version
    # An attempt that came without a price gets the same one here.
    alone = booked(context, replace(attempt, cost_nano_usd=0, price_version=""))
    assert (alone.cost_nano_usd, alone.price_version) == (cost, prices.version)


def test_a_cancelled_stream_is_booked_by_our_count_and_says_so(context):
    usage = Usage(input_token_count=40, output_token_count=7, estimated=True)
    entry = booked(context, Attempt(number=1, provider="openai", model="gpt-4o", usage=usage))
    assert entry.cost_nano_usd == 40 * 2_500 + 7 * 10_000
    assert entry.usage.estimated


def test_the_sums_in_the_cases_are_what_they_say():
    for case in CASES:
        products = (term.split("*") for term in case["sum"].split(" + "))
        assert sum(int(a) * int(b) for a, b in products) == case["cost_nano_usd"], case["name"]


def test_a_price_holds_from_its_day_on(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(
        "prices:\n"
        "- {provider: openai, model: gpt-4o, input: 2, output: 8}\n"
        "- {provider: openai, model: gpt-4o, input: 1, output: 4, since: 2026-02-01}\n"
    )
    prices = PriceTable.load(path)
    usage = Usage(input_token_count=1_000, output_token_count=10)
    costs = [
        prices.cost_nano_usd(provider="openai", model="gpt-4o", usage=usage, at=at)
        for at in (datetime(2026, 1, 31, 23, 59, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    ]
    assert costs == [1_000 * 2_000 + 10 * 8_000, 1_000 * 1_000 + 10 * 4_000]
