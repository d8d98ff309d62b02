"""A day on which spending runs away, on a clock of its own."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from parley_services.accounting.ledger.pricing import Pricer
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.reserve import Reserve, ReserveRequest
from parley_services.accounting.ledger.settle import Settle, SettleRequest
from parley_services.accounting.limits.alerts import AlertKind
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.limits.budget_policy import load_policy
from parley_services.accounting.limits.rate_limiter import RateLimiter
from parley_services.accounting.subjects import SubjectLevel
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import BudgetExhausted
from parley_services.kit.models.prices import PriceTable

from tests.support.clock import ManualClock
from tests.support.ledger import MemoryLedger

CENT = 10**7
TABLE = PriceTable.load()


class Day:
    """Accounting in memory, under the packaged policy."""

    def __init__(self):
        policy = load_policy()
        self.clock = ManualClock(datetime(2026, 3, 31, 8, tzinfo=UTC))
        pricer = Pricer(TABLE, models=lambda: None, default_model=policy.default_model)
        self.ledger = MemoryLedger(
            PricingContext(
                policy=policy, pricer=pricer, limiter=RateLimiter(), lease_grace_seconds=30
            ),
            defaults={level: policy.default_limits(level) for level in SubjectLevel},
            clock=self.clock,
        )
        self.count = 0

    def reserve(self, user, *, model="gpt-4o", read=1_500, written=400):
        self.count += 1
        request = ReserveRequest(
            request_id=f"r{self.count}",
            subject=Subject(tenant_id="acme", user_id=user),
            model=model,
            input_token_count=read,
            max_output_token_count=written,
        )
        return self.ledger.run(Reserve, request, reservation_id=f"v{self.count}")

    def spend(self, user, nano_usd):
        self.count += 1
        attempt = Attempt(
            number=1,
            provider="openai",
            model="gpt-4o",
            usage=Usage(input_token_count=1),
            cost_nano_usd=nano_usd,
            price_version="test",
        )
        request = SettleRequest(
            request_id=f"r{self.count}",
            subject=Subject(tenant_id="acme", user_id=user),
            attempts=(attempt,),
            source=AnswerSource.MODEL,
        )
        self.ledger.run(Settle, request)

    def alerts(self):
        return [(each.kind, each.key.level.key) for each in self.ledger.transaction.new_alerts]


@pytest.fixture
def day():
    return Day()


def test_a_user_over_half_a_dollar_is_switched_until_midnight(day):
    assert day.reserve("ada").decision is BudgetDecision.ALLOW
    day.spend("ada", 50 * CENT)
    turn = day.reserve("ada")
    assert (turn.decision, turn.downgrade_model, turn.policy_rule) == (
        BudgetDecision.DOWNGRADE,
        "gpt-4o-mini",
        "user_daily_downgrade",
    )
    # 1,500 tokens at 0.15 and 400 at 0.60 dollars a million.
    assert turn.amount_nano_usd == 465_000
    assert day.reserve("bob").decision is BudgetDecision.ALLOW
    day.clock.advance(16 * 3600)
    assert day.reserve("ada").decision is BudgetDecision.ALLOW


def test_a_turn_is_never_made_dearer(day):
    day.spend("ada", 50 * CENT)
    assert day.reserve("ada", model="gpt-4o-mini").decision is BudgetDecision.ALLOW


def test_what_runs_counts_before_it_is_booked(day):
    # Each sets 1,500 and 512 tokens aside, 0.00887 dollars, however large its limit is.
    decisions = Counter(day.reserve("ada", written=10_000).decision for _ in range(60))
    assert decisions == {BudgetDecision.ALLOW: 57, BudgetDecision.DOWNGRADE: 3}


def test_a_spike_ends_in_emergency_mode_and_the_next_day_begins_afresh(day):
    day.spend("script", 7_999 * CENT)
    assert day.reserve("ada").decision is BudgetDecision.ALLOW
    day.spend("script", 1 * CENT)
    day.spend("script", 2_000 * CENT)
    turn = day.reserve("ada", read=2_000)
    assert (turn.decision, turn.downgrade_model, turn.policy_rule) == (
        BudgetDecision.CACHE_FIRST,
        "gpt-4o-mini",
        "suite_daily_emergency",
    )
    with pytest.raises(BudgetExhausted, match="at most 2000 input tokens") as caught:
        day.reserve("ada", read=2_001)
    assert caught.value.metadata["policy_rule"] == "suite_daily_emergency"
    assert caught.value.metadata["reset_time"] == "2026-04-01T00:00:00Z"
    suite = [kind for kind, level in day.alerts() if level == "suite"]
    assert suite == [
        AlertKind.BUDGET_WARNING,
        AlertKind.BUDGET_EXHAUSTED,
        AlertKind.POLICY_ACTION,
    ]
    day.clock.advance(16 * 3600)
    assert day.reserve("ada", read=5_000).decision is BudgetDecision.ALLOW


def test_a_rule_alerts_once_a_day(day):
    day.spend("ada", 50 * CENT)
    for _ in range(3):
        day.reserve("ada")
    acted = [kind for kind, _ in day.alerts() if kind is AlertKind.POLICY_ACTION]
    assert len(acted) == 1


def test_a_wrong_policy_names_its_field(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("default_model: x\nrules: [{id: a, when: {level: nobody}}]\n")
    with pytest.raises(ValueError, match=r"rules\.0\.when\.level"):
        load_policy(path)


def test_limits_of_a_level_without_a_default_are_none():
    assert load_policy().default_limits(SubjectLevel.TEAM) == Limits()
