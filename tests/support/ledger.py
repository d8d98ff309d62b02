"""Accounting on a database without its servers, and turns to book in it."""

from contextlib import asynccontextmanager
from datetime import timedelta

from parley_services.accounting.accounting import Accounting
from parley_services.accounting.app import MIGRATIONS
from parley_services.accounting.clock_reader import ClockReader
from parley_services.accounting.ledger.pricing import Pricer
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.reserve import ReserveRequest
from parley_services.accounting.ledger.settle import SettleRequest
from parley_services.accounting.ledger.unit_of_work import LedgerTransaction
from parley_services.accounting.limits.allowance_book import AllowanceBook
from parley_services.accounting.limits.allowances import Allowance, Budget, BudgetPeriod, Limits
from parley_services.accounting.limits.budget_policy import Policy
from parley_services.accounting.limits.rate_limiter import RateLimiter
from parley_services.accounting.reports.costs import CostGrouping, CostQuery
from parley_services.accounting.sql.admissions import SqlAdmissions
from parley_services.accounting.sql.allowances import SqlAllowances
from parley_services.accounting.sql.costs import SqlCostReader
from parley_services.accounting.sql.ledger_clock import ProcessClock
from parley_services.accounting.sql.rollups import SqlRollups
from parley_services.accounting.sql.store import SqlLedgerStore
from parley_services.accounting.subjects import SubjectKey, SubjectLevel
from parley_services.accounting.workers.lease_expirer import LeaseExpirer
from parley_services.accounting.workers.rollup_worker import RollupWorker
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.models.prices import flat_price
from parley_services.kit.storage.database import open_database

from tests.support.clock import ManualClock

ADA = Subject(tenant_id="acme", team_id="core", user_id="ada", key_id="key_1")
TENANT = SubjectKey(level=SubjectLevel.TENANT, tenant_id="acme", subject_id="acme")
COST = 100
"""Of a turn in these tests: 60 tokens in, 40 out, one nano-dollar each."""


class FlatPrices:
    """One nano-dollar a token, for every model."""

    version = "flat"

    def price(self, *, provider, model, at):
        return flat_price(1_000_000)


class MemoryLedger:
    """A ledger in memory that runs commands one after the other."""

    def __init__(self, context, *, limits=None, defaults=None, clock=None):
        self.context = context
        self.clock = clock or ManualClock()
        self._clock_reader = ClockReader(self.clock)
        self.transaction = LedgerTransaction(
            timestamp=self._clock_reader.read(),
            usage_counters={},
            limits=limits or {},
            defaults=defaults or {level: Limits() for level in SubjectLevel},
            turns={},
            heads={},
            lengths={},
        )

    def run(self, command, request, **more):
        self.transaction.timestamp = self._clock_reader.read()
        return command(request, context=self.context, **more).run(self.transaction)


class Replica:
    """One accounting process without its servers."""

    def __init__(self, database, clock):
        defaults = {level: Limits() for level in SubjectLevel}
        self.context = context = PricingContext(
            policy=Policy(default_model="any"),
            pricer=Pricer(FlatPrices(), models=lambda: None, default_model="any"),
            limiter=RateLimiter(),
            lease_grace_seconds=30,
        )
        self.clock_reader = clock_reader = ClockReader(clock)
        ledger_clock = ProcessClock(clock_reader)
        self.database = database
        self.store = SqlLedgerStore(database, defaults=defaults, clock=ledger_clock)
        self.reader = SqlCostReader(database)
        self.allowances = AllowanceBook(SqlAllowances(database), defaults=defaults)
        self.admissions = SqlAdmissions(
            database, defaults=defaults, limiter=context.limiter, clock=ledger_clock
        )
        self.accounting = Accounting(self.store, admissions=self.admissions, context=context)
        self.rollup_worker = RollupWorker(SqlRollups(database))
        self.lease_expirer = LeaseExpirer(self.store, context=context)

    async def limit(self, key=TENANT, **limits):
        await self.allowances.put(Allowance(key=key, limits=Limits(**limits)))

    async def hard_budget(self, limit_nano_usd, key=TENANT):
        budget = Budget(period=BudgetPeriod.TOTAL, limit_nano_usd=limit_nano_usd, is_hard=True)
        await self.limit(key, budgets=(budget,))

    async def budget(self):
        """Return what is used and reserved of the tenant's budget."""
        (found,) = await self.allowances.page("acme", offset=0, limit=2)
        if found.counter is None:
            return 0, 0
        return found.counter.total_used_nano_usd, found.counter.reserved_nano_usd

    async def cost(self):
        summary = await self.reader.summary(CostQuery(grouping=CostGrouping.USER))
        return summary.total.cost_nano_usd


def reserve(request_id, subject=ADA, **fields):
    fields = {"input_token_count": 60, "max_output_token_count": 40} | fields
    return ReserveRequest(request_id=request_id, subject=subject, **fields)


def settle(request_id, subject=ADA, output=40):
    attempt = Attempt(
        number=1,
        provider="simulated",
        model="any",
        usage=Usage(input_token_count=60, output_token_count=output),
    )
    return SettleRequest(
        request_id=request_id, subject=subject, attempts=(attempt,), source=AnswerSource.MODEL
    )


class JumpingClock(ManualClock):
    """A clock whose wall time somebody sets."""

    def jump(self, seconds):
        self._now += timedelta(seconds=seconds)


@asynccontextmanager
async def open_replica(url, clock):
    async with open_database(url, service="accounting", migrations=MIGRATIONS) as database:
        replica = Replica(database, clock)
        try:
            yield replica
        finally:
            await replica.admissions.aclose()
            await replica.store.aclose()
