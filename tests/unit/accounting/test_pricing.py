"""Prices by the router's list of models, and what the policy makes of them."""

from datetime import UTC, datetime

import pytest
from parley_services.accounting.ledger.pricing import Pricer
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.reserve import Reserve, ReserveRequest
from parley_services.accounting.ledger.settle import Settle, SettleRequest
from parley_services.accounting.limits.budget_policy import load_policy
from parley_services.accounting.limits.rate_limiter import RateLimiter
from parley_services.accounting.subjects import SubjectLevel
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import PriceUnknown
from parley_services.kit.models.catalogue import ListedModel, catalogue_of
from parley_services.kit.models.prices import Price, PriceTable, Rates, flat_price

from tests.support.ledger import MemoryLedger

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
TABLE = PriceTable.load()
CENT = 10**7


def cents(read, written):
    """Return a price by US cents a million tokens."""
    return Price(
        rates=Rates(
            input_nano_usd_per_million=read * CENT,
            cached_input_nano_usd_per_million=read * CENT,
            cache_write_nano_usd_per_million=read * CENT,
            cache_write_1h_nano_usd_per_million=read * CENT,
            output_nano_usd_per_million=written * CENT,
        )
    )


def model(name, price, *, provider="openai", provider_model="", aliases=()):
    return ListedModel(
        name=name,
        provider=provider,
        provider_model=provider_model or name,
        aliases=aliases,
        price=price,
        price_version="router",
    )


CATALOGUE = catalogue_of(
    [
        model("claude-sonnet-5-5", cents(300, 1500), provider="anthropic", aliases=("sonnet",)),
        model("claude-haiku-5-5", cents(10, 50), provider="anthropic"),
        model("gpt-4o", cents(250, 1000)),
        model("gpt-4o-mini", cents(15, 60)),
        model("tiny", cents(20, 20), provider="local", provider_model="llama-3.3-70b-own"),
        model("unpriced", None, provider="local"),
    ],
    {
        "default": ("claude-sonnet-5-5", "gpt-4o"),
        "small": ("gpt-4o-mini", "tiny"),
        "mixed": ("unpriced", "gpt-4o"),
    },
    default_group="default",
    auto=("small", "default"),
)


def pricer(catalogue=CATALOGUE, *, cap=None):
    return Pricer(TABLE, models=lambda: catalogue, default_model="claude-sonnet-5-5", cap=cap)


@pytest.mark.parametrize(
    ("name", "nano_usd"),
    [
        ("gpt-4o", 7_500_000),
        ("sonnet", 10_500_000),
        ("openai/gpt-4o", 7_500_000),
        ("tiny", 300_000),
        ("llama-3.3-70b-own", 300_000),
        ("local/llama-3.3-70b-own", 300_000),
        # The dearest route of a group may answer.
        ("default", 10_500_000),
        ("", 10_500_000),
        ("small", 450_000),
        ("auto", 10_500_000),
        # One without a price is never asked.
        ("mixed", 7_500_000),
    ],
)
def test_a_hold_covers_the_dearest_route_that_may_answer(name, nano_usd):
    assert pricer().quote(name, AT).estimate_nano_usd(1000, 500) == nano_usd


@pytest.mark.parametrize("name", ["unpriced", "local/unpriced"])
def test_what_has_no_price_is_refused_or_capped(name):
    with pytest.raises(PriceUnknown):
        pricer().quote(name, AT)
    capped = pricer(cap=flat_price(7 * CENT)).quote(name, AT)
    assert (capped.estimate_nano_usd(10**6, 0), capped.version) == (7 * CENT, "cap")


def test_until_the_router_was_reached_the_packaged_table_tells():
    early = pricer(None)
    assert early.quote("gpt-4o-mini", AT).estimate_nano_usd(10**6, 0) == 15 * CENT
    assert early.quote("a group", AT).model == "claude-sonnet-5-5"


class TestCallsThatWereMade:
    def test_a_call_of_a_model_of_ones_own_costs_its_own_price(self):
        quote = pricer().quote_used("local", "llama-3.3-70b-own", AT, "tiny")
        assert quote.cost_nano_usd(Usage(input_token_count=11, output_token_count=52)) == 12_600
        assert quote.version == "router"

    def test_a_call_without_a_price_costs_what_was_set_aside_for(self):
        quote = pricer().quote_used("local", "nobody-knows", AT, "tiny")
        assert (quote.estimate_nano_usd(1000, 0), quote.version) == (200_000, "hold")

    def test_a_call_without_a_price_costs_the_cap_if_there_is_one(self):
        capped = pricer(cap=flat_price(7 * CENT))
        quote = capped.quote_used("local", "nobody-knows", AT, "tiny")
        assert (quote.estimate_nano_usd(10**6, 0), quote.version) == (7 * CENT, "cap")

    def test_a_settlement_without_prices_is_booked_by_the_routers(self):
        ledger = MemoryLedger(context(load_policy()))
        attempt = Attempt(
            number=1,
            provider="local",
            model="llama-3.3-70b-own",
            usage=Usage(input_token_count=11, output_token_count=52, estimated=True),
        )
        request = SettleRequest(
            request_id="r1", subject=ADA, attempts=(attempt,), source=AnswerSource.MODEL
        )
        assert ledger.run(Settle, request).cost_nano_usd == 12_600


ADA = Subject(tenant_id="acme", user_id="ada")


def context(policy, catalogue=CATALOGUE):
    return PricingContext(
        policy=policy,
        pricer=pricer(catalogue),
        limiter=RateLimiter(),
        lease_grace_seconds=30,
    )


class TestPolicies:
    def decide(self, spent_cents, asked, *, user="ada", catalogue=CATALOGUE, read=1000):
        """Return what a turn may do once somebody has spent so much today."""
        policy = load_policy()
        defaults = {level: policy.default_limits(level) for level in SubjectLevel}
        ledger = MemoryLedger(context(policy, catalogue), defaults=defaults)
        spend = Attempt(
            number=1, provider="p", model="m", cost_nano_usd=spent_cents * CENT, price_version="x"
        )
        ledger.run(
            Settle,
            SettleRequest(
                request_id="before",
                subject=Subject(tenant_id="acme", user_id=user),
                attempts=(spend,),
                source=AnswerSource.MODEL,
            ),
        )
        request = ReserveRequest(
            request_id="r1",
            subject=ADA,
            model=asked,
            input_token_count=read,
            max_output_token_count=200,
        )
        return ledger.run(Reserve, request, reservation_id="v1")

    @pytest.mark.parametrize(
        ("asked", "downgrade"),
        [
            ("", "gpt-4o-mini"),
            ("default", "gpt-4o-mini"),
            ("sonnet", "gpt-4o-mini"),
            ("gpt-4o", "gpt-4o-mini"),
            ("auto", "gpt-4o-mini"),
            # Cheaper than the rule's model, or the same: they are kept.
            ("claude-haiku-5-5", ""),
            ("gpt-4o-mini", ""),
            ("small", ""),
        ],
    )
    def test_a_downgrade_is_to_what_is_cheaper_for_this_turn(self, asked, downgrade):
        turn = self.decide(50, asked)
        kind = BudgetDecision.DOWNGRADE if downgrade else BudgetDecision.ALLOW
        assert (turn.decision, turn.downgrade_model) == (kind, downgrade)
        emergency = self.decide(10_000, asked, user="other")
        assert emergency.decision is BudgetDecision.CACHE_FIRST
        assert emergency.downgrade_model == downgrade

    def test_auto_becomes_its_small_group_if_that_is_cheaper_than_the_rules_model(self):
        cheap = catalogue_of(
            CATALOGUE.models.values(),
            {"default": ("claude-sonnet-5-5",), "small": ("claude-haiku-5-5",)},
            default_group="default",
            auto=("small", "default"),
        )
        assert self.decide(50, "auto", catalogue=cheap).downgrade_model == "small"

    def test_which_is_cheaper_depends_on_the_tokens(self):
        # 0.20 for both is dearer to read than 0.15 and cheaper to write than 0.60.
        assert self.decide(50, "tiny", read=100).downgrade_model == ""
        assert self.decide(50, "tiny", read=1_000_000).downgrade_model == "gpt-4o-mini"

    def test_a_model_that_the_router_does_not_offer_is_no_downgrade(self):
        own = catalogue_of(
            [model("tiny", cents(900, 900), provider="local")],
            {"default": ("tiny",)},
            default_group="default",
        )
        turn = self.decide(50, "", catalogue=own)
        assert (turn.decision, turn.downgrade_model) == (BudgetDecision.ALLOW, "")

    def test_no_turn_is_made_dearer(self):
        for name in (*CATALOGUE.models, *CATALOGUE.groups, "auto", ""):
            if name == "unpriced":
                continue
            for read in (1, 1000, 100_000):
                before = pricer().quote(name, AT).expected_nano_usd(read, 200)
                turn = self.decide(50, name, read=read)
                after = pricer().quote(turn.model, AT).expected_nano_usd(read, 200)
                assert after <= before, name


def test_a_policy_whose_default_model_has_no_price_is_refused_at_the_start():
    with pytest.raises(ValueError, match="default_model nobody"):
        Pricer(TABLE, models=lambda: None, default_model="nobody").check(AT)
