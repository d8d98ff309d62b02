"""Hard budgets against callers that draw prompts, models, outputs, failures and cancels."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from parley_services.accounting.ledger.extend import Extend, ExtendRequest
from parley_services.accounting.ledger.pricing import Pricer
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.reserve import Reserve, ReserveRequest
from parley_services.accounting.ledger.settle import Settle, SettleRequest
from parley_services.accounting.limits.allowances import Budget, BudgetPeriod, Limits
from parley_services.accounting.limits.budget_policy import Policy
from parley_services.accounting.limits.rate_limiter import RateLimiter
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import BudgetExhausted
from parley_services.kit.models.prices import Price, Rates, Tier

from tests.support.ledger import TENANT, MemoryLedger


def price(read, written, call=0, tiers=()):
    return Price(rates=rates(read, written), tiers=tiers, call_nano_usd=call)


def rates(read, written):
    return Rates(
        input_nano_usd_per_million=read,
        cached_input_nano_usd_per_million=read,
        cache_write_nano_usd_per_million=read,
        cache_write_1h_nano_usd_per_million=read,
        output_nano_usd_per_million=written,
    )


PRICES = {
    "small": price(150_000, 600_000),
    "large": price(3_000_000, 15_000_000),
    "tiered": price(
        1_250_000,
        10_000_000,
        tiers=(Tier(above_input_token_count=2_000, rates=rates(2_500_000, 15_000_000)),),
    ),
    "per call": price(0, 1_000_000, call=5_000),
    "free output": price(1_000_000, 0),
}


class Table:
    version = "drawn"

    def price(self, *, provider, model, at):
        return PRICES.get(model)


class Ledger(MemoryLedger):
    """Accounting in memory, with one hard budget for the tenant."""

    def __init__(self, limit_nano_usd):
        budget = Budget(period=BudgetPeriod.TOTAL, limit_nano_usd=limit_nano_usd, is_hard=True)
        context = PricingContext(
            policy=Policy(default_model="small"),
            pricer=Pricer(Table(), models=lambda: None, default_model="small"),
            limiter=RateLimiter(),
            lease_grace_seconds=30,
        )
        super().__init__(context, limits={TENANT.text: Limits(budgets=(budget,))})

    @property
    def counter(self):
        return self.transaction.counter(TENANT)


@dataclass
class Drawn:
    """A turn as hypothesis draws it: what is asked for, and what the providers do."""

    model: str
    input: int
    limit: int
    sends: int
    attempts: list[tuple[str, list[int]]]
    """Models, each with the sizes of the chunks until it fails; the last one does not fail."""
    cancel_after: int


class Caller:
    """What an orchestrator does: it extends before it passes a token on, or cuts the answer."""

    def __init__(self, number, drawn, ledger):
        self.number, self.drawn, self.ledger = number, drawn, ledger
        self.attempts = []
        self.step = 0
        self.fresh = 0
        """Output tokens that the hold has to cover: since the last extension."""
        self.cancel_in = drawn.cancel_after
        self.is_over = False
        self.overshoot = 0

    @property
    def subject(self):
        return Subject(tenant_id="acme", user_id=f"user{self.number % 3}")

    @property
    def request_id(self):
        return f"r{self.number}"

    @property
    def reservation_id(self):
        return f"v{self.number}"

    def play(self):
        """Yield after each thing that happens, so that turns mix."""
        try:
            self.reserve()
        except BudgetExhausted:
            return
        yield
        for model, chunks in self.drawn.attempts:
            if not self.may_send(model):
                break
            written = 0
            for chunk in chunks:
                yield
                written += chunk
                if not self.may_pass_on(model, chunk, written):
                    break
            self.end_attempt(model, written)
            if self.is_over:
                break
        yield
        self.settle()

    def reserve(self):
        drawn = self.drawn
        request = ReserveRequest(
            request_id=self.request_id,
            subject=self.subject,
            model=drawn.model,
            input_token_count=drawn.input,
            input_send_count=drawn.sends,
            max_output_token_count=drawn.limit,
        )
        turn = self.ledger.run(Reserve, request, reservation_id=self.reservation_id)
        self.held_for, self.sends = drawn.model, turn.input_send_count
        self.covered = turn.covered_output_token_count

    def may_send(self, model):
        """Say whether the input may be sent once more. A hold is for one model."""
        if (not self.sends or model != self.held_for) and not self.extend(model, 0):
            return False
        self.sends -= 1
        return True

    def may_pass_on(self, model, chunk, written):
        """Say whether the answer goes on after a chunk."""
        self.fresh += chunk
        self.cancel_in -= 1
        self.is_over = self.cancel_in < 0
        while self.fresh > self.covered and not self.is_over:
            self.is_over = not self.extend(model, written)
            self.sends -= 1
        if self.fresh > self.covered:
            self.overshoot = PRICES[model].cost_nano_usd(
                Usage(input_token_count=self.drawn.input, output_token_count=chunk)
            )
        return not self.is_over

    def extend(self, model, written):
        self.step += 1
        request = ExtendRequest(
            request_id=self.request_id,
            reservation_id=self.reservation_id,
            step=self.step,
            output_token_count=written,
            model=model,
            spent_nano_usd=sum(each.cost_nano_usd for each in self.attempts),
            input_token_count=self.drawn.input,
            input_send_count=self.drawn.sends,
        )
        try:
            turn = self.ledger.run(Extend, request)
        except BudgetExhausted:
            return False
        # What ended attempts wrote is part of what was spent from now on.
        self.held_for, self.sends = model, turn.input_send_count
        self.covered, self.fresh = turn.covered_output_token_count, written
        return True

    def end_attempt(self, model, written):
        usage = Usage(input_token_count=self.drawn.input, output_token_count=written)
        self.attempts.append(
            Attempt(
                number=len(self.attempts) + 1,
                provider="any",
                model=model,
                usage=usage,
                cost_nano_usd=PRICES[model].cost_nano_usd(usage),
                price_version="drawn",
            )
        )

    def settle(self):
        request = SettleRequest(
            request_id=self.request_id,
            subject=self.subject,
            attempts=tuple(self.attempts),
            source=AnswerSource.MODEL,
            reservation_id=self.reservation_id,
        )
        self.ledger.run(Settle, request)


MODELS = st.sampled_from(sorted(PRICES))
CHUNKS = st.lists(st.integers(1, 400), max_size=8)
TURNS = st.builds(
    Drawn,
    model=MODELS,
    input=st.integers(0, 5_000),
    limit=st.sampled_from([0, 10, 300, 4_000]),
    sends=st.integers(1, 4),
    attempts=st.lists(st.tuples(MODELS, CHUNKS), min_size=1, max_size=4),
    cancel_after=st.integers(0, 40),
)


def first_is_the_one_asked_for(turn):
    turn.attempts[0] = (turn.model, turn.attempts[0][1])
    return turn


@settings(max_examples=400, deadline=None)
@given(
    limit=st.integers(0, 200_000_000),
    turns=st.lists(TURNS.map(first_is_the_one_asked_for), min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_a_hard_budget_is_exceeded_by_a_chunk_of_each_cut_turn_at_most(limit, turns, order):
    ledger = Ledger(limit)
    callers = [Caller(number, drawn, ledger) for number, drawn in enumerate(turns)]
    running = [(caller, caller.play()) for caller in callers]
    while running:
        chosen = order.choice(running)
        try:
            next(chosen[1])
        except StopIteration:
            running.remove(chosen)
        overshoot = sum(caller.overshoot for caller in callers)
        counter = ledger.counter
        assert counter.total_used_nano_usd + counter.reserved_nano_usd <= limit + overshoot
    assert counter.reserved_nano_usd == 0
    booked = sum(each.cost_nano_usd for caller in callers for each in caller.attempts)
    assert counter.total_used_nano_usd == booked
