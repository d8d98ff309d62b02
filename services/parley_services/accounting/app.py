"""Puts accounting together. The only module that knows which classes are real."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

import grpc
import httpx
import structlog
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc

from parley_services.accounting.accounting import Accounting
from parley_services.accounting.clock_reader import ClockReader
from parley_services.accounting.keys.authorization import Access
from parley_services.accounting.keys.authorizing_servicer import KeyedServicer
from parley_services.accounting.keys.bootstrap import ensure_first_key
from parley_services.accounting.keys.keys import FailureLimit, KeyRepository, KeyStore
from parley_services.accounting.ledger.pricing import Models, Pricer, Prices
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.limits.admission import Admissions
from parley_services.accounting.limits.allowance_book import (
    AllowanceBook,
    AllowanceStore,
    CachedAllowances,
)
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.limits.budget_policy import DEFAULT_PATH, Policy, load_policy
from parley_services.accounting.limits.memory_admissions import MemoryAdmissions
from parley_services.accounting.limits.rate_limiter import RateLimiter
from parley_services.accounting.peers.model_router import RouterCatalogue
from parley_services.accounting.reports.archive import Archiver
from parley_services.accounting.reports.archive_files import ArchiveFolder
from parley_services.accounting.reports.audit import Auditor
from parley_services.accounting.reports.queries import AccountingQueries
from parley_services.accounting.servicer import AccountingServicer
from parley_services.accounting.settings import AccountingSettings
from parley_services.accounting.sql.admissions import SqlAdmissions
from parley_services.accounting.sql.alerts import SqlAlerts
from parley_services.accounting.sql.allowances import SqlAllowances
from parley_services.accounting.sql.archive import SqlArchive
from parley_services.accounting.sql.costs import SqlCostReader
from parley_services.accounting.sql.keys import SqlKeyRepository
from parley_services.accounting.sql.ledger_clock import DatabaseClock, ProcessClock
from parley_services.accounting.sql.rollups import SqlRollups
from parley_services.accounting.sql.store import SqlLedgerStore
from parley_services.accounting.subjects import SubjectLevel
from parley_services.accounting.workers.change_notifier import ChangeNotifier
from parley_services.accounting.workers.lease_expirer import LeaseExpirer
from parley_services.accounting.workers.rollup_worker import RollupWorker
from parley_services.accounting.workers.webhooks import Post, Webhook
from parley_services.kit.background import Report, every, running
from parley_services.kit.clock import Clock, SystemClock
from parley_services.kit.models.prices import PriceTable, flat_price
from parley_services.kit.rpc.health import Health
from parley_services.kit.rpc.peers import Peers
from parley_services.kit.rpc.service import Register, ServiceDefinition
from parley_services.kit.storage.database import Database, open_database

log = structlog.get_logger()

NAME = "accounting"
ARCHIVE_FOLDER = "ledger_archive"
MIGRATIONS = Path(__file__).parent / "migrations"

_NANO = 10**9
_BURST = 10
_TIDY_SECONDS = 600.0
_WEBHOOK_TIMEOUT_SECONDS = 10.0


@asynccontextmanager
async def open_accounting(
    settings: AccountingSettings,
    *,
    clock: Clock | None = None,
    prices: Prices | None = None,
    models: Models = lambda: None,
    post: Post | None = None,
    report: Report | None = None,
    webhook_sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Register]:
    """
    Open what accounting needs and yield the function that registers it.

    *models* returns what the router offers. *report* is told whether the store answers. A test
    passes its own *clock*, *prices*, and for webhooks *post* or *webhook_sleep*. Raises
    ValueError for a policy or a price file that is wrong, DependencyUnavailable if the database
    cannot be reached.
    """
    clock = clock or SystemClock()
    policy = load_policy(settings.policy_path or DEFAULT_PATH)
    defaults = default_limits(policy, settings)
    prices = prices or PriceTable.load(settings.prices_path)
    pricer = _pricer(policy, settings, prices, models)
    pricer.check(clock.now())
    limiter = RateLimiter(settings.rate_window_seconds)
    context = PricingContext(
        policy=policy,
        pricer=pricer,
        limiter=limiter,
        lease_grace_seconds=settings.lease_grace_seconds,
    )
    alert_notifier, key_notifier = ChangeNotifier(), ChangeNotifier()
    url = settings.database_url or f"sqlite:///{settings.data_dir / 'accounting.db'}"
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(url, service=NAME, migrations=MIGRATIONS)
        )
        is_shared = database.dialect != "sqlite"
        reader = ClockReader(clock)
        ledger_clock = DatabaseClock() if is_shared else ProcessClock(reader)
        store = SqlLedgerStore(
            database, defaults=defaults, clock=ledger_clock, alert_notifier=alert_notifier
        )
        stack.push_async_callback(store.aclose)
        allowances = AllowanceBook(_allowance_store(database), defaults=defaults)
        admissions: Admissions
        if is_shared:
            table = SqlAdmissions(database, defaults=defaults, limiter=limiter, clock=ledger_clock)
            stack.push_async_callback(table.aclose)
            tidying = every(_TIDY_SECONDS, table.remove_idle, name="admission_counters")
            await stack.enter_async_context(tidying)
            admissions = table
        else:
            admissions = MemoryAdmissions(
                allowances.limits_of, limiter=limiter, clock_reader=reader
            )
        key_repository = SqlKeyRepository(database)
        cost_reader = SqlCostReader(database)
        alerts = SqlAlerts(database)
        keys = _key_store(key_repository, settings, clock)
        made = await ensure_first_key(
            keys, secret=settings.bootstrap_key.get_secret_value(), data_dir=settings.data_dir
        )
        if made is not None:
            log.info("bootstrap_key_written", path=str(made))
        servicer = AccountingServicer(
            accounting=Accounting(store, admissions=admissions, context=context),
            keys=keys,
            queries=AccountingQueries(
                reader=cost_reader,
                auditor=Auditor(cost_reader, store),
                allowances=allowances,
                alerts=alerts,
                key_changes=key_repository,
                pricer=pricer,
                clock=clock,
                alert_notifier=alert_notifier,
                key_notifier=key_notifier,
                poll_interval_seconds=settings.poll_interval_seconds,
            ),
            clock=clock,
            key_max_age_seconds=settings.key_max_age_seconds,
        )
        await stack.enter_async_context(
            every(
                settings.lease_check_interval_seconds,
                LeaseExpirer(store, context=context).run,
                name="lease_expirer",
                report=report,
                at_once=True,
            )
        )
        await stack.enter_async_context(
            every(
                settings.rollup_interval_seconds,
                RollupWorker(SqlRollups(database)).run,
                name="rollup_worker",
                at_once=True,
            )
        )
        if settings.detail_days is not None:
            archiver = Archiver(
                SqlArchive(database),
                ArchiveFolder(settings.data_dir / ARCHIVE_FOLDER).keep,
                detail_days=settings.detail_days,
                clock=clock,
            )
            await stack.enter_async_context(
                every(
                    settings.archive_interval_seconds,
                    archiver.run,
                    name="ledger_archiver",
                    at_once=True,
                )
            )
        if settings.webhook_urls:
            post = post or await stack.enter_async_context(_posting())
        for each in settings.webhook_urls:
            assert post is not None
            webhook = Webhook(
                each,
                secret=_webhook_secret(settings),
                deliveries=alerts,
                post=post,
                notifier=alert_notifier,
                clock=clock,
                poll_interval_seconds=settings.poll_interval_seconds,
                sleep=webhook_sleep,
            )
            await stack.enter_async_context(
                running(webhook.run, name="webhook", sleep=webhook_sleep)
            )

        # It offers every method that the servicer has.
        keyed = cast(pb_grpc.AccountingServiceServicer, KeyedServicer(servicer, Access(keys)))

        def register(server: grpc.aio.Server) -> None:
            pb_grpc.add_AccountingServiceServicer_to_server(keyed, server)

        yield register


def _key_store(repository: KeyRepository, settings: AccountingSettings, clock: Clock) -> KeyStore:
    rate = settings.wrong_keys_per_second
    failures = FailureLimit(clock, per_second=rate, burst=max(1, int(rate * _BURST)))
    return KeyStore(repository, clock=clock, failures=failures)


def _allowance_store(database: Database) -> AllowanceStore:
    store = SqlAllowances(database)
    # No other process changes the allowances in a SQLite file.
    return CachedAllowances(store) if database.dialect == "sqlite" else store


def default_limits(policy: Policy, settings: AccountingSettings) -> dict[SubjectLevel, Limits]:
    """Return what holds at each level for a subject without an allowance of its own."""
    defaults = {level: policy.default_limits(level) for level in SubjectLevel}
    user = defaults[SubjectLevel.USER]
    if not user.requests_per_minute:
        defaults[SubjectLevel.USER] = Limits(
            budgets=user.budgets,
            requests_per_minute=settings.user_requests_per_minute,
            tokens_per_minute=user.tokens_per_minute,
            max_concurrent_turns=user.max_concurrent_turns,
        )
    return defaults


def _pricer(policy: Policy, settings: AccountingSettings, prices: Prices, models: Models) -> Pricer:
    cap = settings.unknown_price_usd_per_million
    return Pricer(
        prices,
        models=models,
        default_model=policy.default_model,
        cap=None if cap is None else flat_price(int(cap * _NANO)),
    )


def _webhook_secret(settings: AccountingSettings) -> str:
    secret = settings.webhook_secret.get_secret_value()
    if not secret:
        raise ValueError("Set PARLEY_ACCOUNTING_WEBHOOK_SECRET: webhooks must be signed.")
    return secret


@asynccontextmanager
async def _posting() -> AsyncGenerator[Post, None]:
    async with httpx.AsyncClient(timeout=_WEBHOOK_TIMEOUT_SECONDS) as client:

        async def post(url: str, body: bytes, headers: Mapping[str, str]) -> bool:
            try:
                response = await client.post(url, content=body, headers=dict(headers))
            except httpx.HTTPError:
                return False
            return response.is_success

        yield post


@asynccontextmanager
async def _open(*, peers: Peers, health: Health, clock: Clock) -> AsyncIterator[Register]:
    async def report(is_up: bool) -> None:
        if health.is_serving(NAME) is not is_up:
            await health.set(NAME, is_up)

    catalogue = RouterCatalogue(peers.channel("model_router"))
    async with (
        catalogue.refreshing(),
        open_accounting(
            AccountingSettings(), clock=clock, models=catalogue.latest, report=report
        ) as register,
    ):
        yield register


accounting = ServiceDefinition(
    name=NAME,
    proto_service_full_name="parley.accounting.v1.AccountingService",
    default_port=50056,
    open=_open,
)
