"""Puts the prompt registry together. The only module that knows which classes are real."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import httpx
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc

from parley_services.kit.background import Backoff, Report, every, running
from parley_services.kit.clock import Clock, SystemClock
from parley_services.kit.rpc.health import Health
from parley_services.kit.rpc.peers import Peers
from parley_services.kit.rpc.service import Register, ServiceDefinition
from parley_services.kit.storage.database import open_database
from parley_services.prompt_registry.alerts import Alerts, LogAlerts, WebhookAlerts
from parley_services.prompt_registry.experiments.rollback_controller import RollbackController
from parley_services.prompt_registry.outcomes.evaluation_log import EvaluationLog
from parley_services.prompt_registry.outcomes.recorder import OutcomeRecorder
from parley_services.prompt_registry.outcomes.turn_texts import Redactor, TextPolicy
from parley_services.prompt_registry.peers.guardrails_redactor import GuardrailsRedactor
from parley_services.prompt_registry.registry import Registry
from parley_services.prompt_registry.servicer import PromptRegistryServicer
from parley_services.prompt_registry.settings import PromptRegistrySettings
from parley_services.prompt_registry.stores.sql import SqlStore
from parley_services.prompt_registry.stores.store import RegistryStore
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.seed_templates import (
    SEED_PATH,
    fill_if_empty,
    load_seed_templates,
)

MIGRATIONS = Path(__file__).parent / "migrations"
NAME = "prompt_registry"

FORGET_EVERY_SECONDS = 3_600.0
REFRESH_BACKOFF_SECONDS = 2.0
"""The longest pause between attempts to read the store after it failed: a query so small costs
a store that comes back nothing, and renders are stale meanwhile."""


@asynccontextmanager
async def open_prompt_registry(
    settings: PromptRegistrySettings,
    *,
    clock: Clock | None = None,
    store: RegistryStore | None = None,
    alerts: Alerts | None = None,
    redactor: Redactor | None = None,
    report: Report | None = None,
) -> AsyncIterator[Register]:
    """
    Open what the prompt registry needs and yield the function that registers it.

    A test passes its own *store*, *alerts* and *clock*; production passes none. Without a
    *redactor* no text of a turn is kept, whatever the settings say. *report* hears whether
    the store can be reached.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        if store is None:
            database = await stack.enter_async_context(
                open_database(settings.url(), service=NAME, migrations=MIGRATIONS)
            )
            store = SqlStore(database)
        catalogue = Catalogue(store)
        await catalogue.refresh()
        registry = Registry(
            store=store,
            catalogue=catalogue,
            clock=clock,
            protected_labels=_names(settings.protected_labels),
        )
        starters = load_seed_templates(settings.seed_path or SEED_PATH)
        await fill_if_empty(registry, catalogue, starters)
        text_policy = TextPolicy(tenants=_names(settings.text_tenants), redactor=redactor)
        recorder = OutcomeRecorder(store=store, catalogue=catalogue, text_policy=text_policy)
        evaluation_log = EvaluationLog(
            store=store,
            clock=clock,
            retention_days=settings.evaluation_retention_days,
            text_retention_days=settings.text_retention_days,
            text_policy=text_policy,
        )
        rollback_controller = RollbackController(
            registry=registry,
            catalogue=catalogue,
            recorder=recorder,
            alerts=alerts or _alerts(settings),
            clock=clock,
            rolls_back=settings.automatic_rollback,
        )
        servicer = PromptRegistryServicer(
            registry=registry,
            catalogue=catalogue,
            recorder=recorder,
            evaluation_log=evaluation_log,
            text_policy=text_policy,
            admin_token=settings.admin_token.get_secret_value(),
        )

        def register(server: grpc.aio.Server) -> None:
            pb_grpc.add_PromptRegistryServiceServicer_to_server(servicer, server)

        for work in (
            running(recorder.run, name="outcome_recorder"),
            running(rollback_controller.run, name="rollback_controller"),
            every(
                settings.poll_seconds,
                catalogue.refresh,
                name="catalogue_refresh",
                report=report,
                backoff=Backoff(max_seconds=REFRESH_BACKOFF_SECONDS),
            ),
            every(FORGET_EVERY_SECONDS, evaluation_log.forget_old, name="evaluation_log_expiry"),
        ):
            await stack.enter_async_context(work)
        yield register


def _names(setting: str) -> list[str]:
    return [each.strip() for each in setting.split(",") if each.strip()]


def _alerts(settings: PromptRegistrySettings) -> Alerts:
    url = settings.alert_webhook_url.get_secret_value()
    return WebhookAlerts(url, new_client=httpx.AsyncClient) if url else LogAlerts()


@asynccontextmanager
async def _open(*, peers: Peers, health: Health, clock: Clock) -> AsyncIterator[Register]:
    async def report(can_answer: bool) -> None:
        await health.set(NAME, can_answer)

    async with open_prompt_registry(
        PromptRegistrySettings(),
        clock=clock,
        redactor=GuardrailsRedactor(peers.channel("guardrails")),
        report=report,
    ) as register:
        yield register


prompt_registry = ServiceDefinition(
    name=NAME,
    proto_service_full_name="parley.prompt_registry.v1.PromptRegistryService",
    default_port=50054,
    open=_open,
)
