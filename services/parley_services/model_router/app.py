"""Puts the model router together. The only module that knows which classes are real."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final
from urllib.request import getproxies

import grpc
import httpx2
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc

from parley_services.kit.background import every
from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import MidStreamPolicy
from parley_services.kit.clock import Clock, SystemClock
from parley_services.kit.models.prices import SIMULATED, Price, PriceTable, flat_price, nano_usd
from parley_services.kit.models.tokens import load_vocabulary
from parley_services.kit.rpc.health import Health
from parley_services.kit.rpc.peers import Peers
from parley_services.kit.rpc.service import Register, ServiceDefinition
from parley_services.kit.storage.attempt_journal import AttemptJournal
from parley_services.kit.storage.journal import Journal
from parley_services.model_router.attempt.attempt_log import AttemptLog, NoAttemptLog
from parley_services.model_router.attempt.hedging import Hedging
from parley_services.model_router.attempt.life_signs import Limits
from parley_services.model_router.attempt.policy import RouterPolicy
from parley_services.model_router.attempt.retry_budget import RetryBudget
from parley_services.model_router.attempt.shadow import ShadowPool
from parley_services.model_router.dependencies import RouterDependencies
from parley_services.model_router.peers.accounting import JournalledAttempts
from parley_services.model_router.providers.http.guarded_transport import (
    ClientTransport,
    GuardedTransport,
)
from parley_services.model_router.providers.http.raw_stream import StreamLimits
from parley_services.model_router.providers.http.transport import StreamingTransport
from parley_services.model_router.providers.provider import Provider
from parley_services.model_router.providers.simulated.answers import Script
from parley_services.model_router.providers.simulated.simulated_provider import (
    SimulatedBehaviour,
    SimulatedProvider,
)
from parley_services.model_router.route.auto import AutoScore
from parley_services.model_router.route.catalogue import Catalogue
from parley_services.model_router.route.config import ProviderConfig, RouterConfig, load_config
from parley_services.model_router.route.limiter import LimiterPolicy
from parley_services.model_router.route.provider_key_pool import ProviderKeyPool
from parley_services.model_router.route.reload import ConfigFile
from parley_services.model_router.route.routes import Routes
from parley_services.model_router.router import Router
from parley_services.model_router.servicer import ModelRouterServicer
from parley_services.model_router.settings import ModelRouterSettings

HEALTH_INTERVAL_SECONDS: Final = 5.0
"""How often health is looked at: soon enough for a load balancer."""

UNLIMITED: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
"""The router's own limiter says how many calls a provider gets at once."""


@asynccontextmanager
async def open_model_router(
    settings: ModelRouterSettings,
    *,
    attempt_log: AttemptLog | None = None,
    clock: Clock | None = None,
    providers: Mapping[str, Provider] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    draw: random.Random | None = None,
    report: Callable[[bool], Awaitable[None]] | None = None,
) -> AsyncIterator[Register]:
    """
    Open what the router needs and yield the function that registers it.

    Attempts are written to *attempt_log*, or nowhere. A test passes its own *providers*, by
    their names in the router's file; then no other is made. *report* hears now and then whether
    any model can be called. Raises ConfigInvalid for a file
    that is wrong.
    """
    clock = clock or SystemClock()
    config = load_config(settings.config_path)
    prices = PriceTable.load(settings.prices_path)
    async with AsyncExitStack() as stack:
        if providers is None:
            providers = dict(_providers(config, settings, stack, sleep))
        usable = providers
        catalogue = _catalogue(config, settings, usable)
        load_vocabulary(catalogue.group("").links[0].model.traits.name)
        routes = Routes(
            {
                name: ProviderKeyPool(name, _keys(name, config, settings) or [""], clock=clock)
                for name in providers
            },
            clock=clock,
            limiter_policy=LimiterPolicy(
                first_limit=settings.first_concurrency_limit,
                max_limit=settings.max_concurrency_limit,
                max_waiting=settings.max_waiting_calls,
                max_wait_seconds=settings.max_wait_seconds,
            ),
        )
        router = Router(
            catalogue,
            RouterDependencies(
                providers=providers,
                routes=routes,
                retry_budget=RetryBudget(settings.retry_share, reserve=settings.retry_reserve),
                hedging=(
                    Hedging(routes, share=settings.hedge_share, clock=clock)
                    if settings.hedging
                    else None
                ),
                policy=policy_of(settings),
                price_version=prices.version,
                clock=clock,
                sleep=sleep,
                draw=draw or random.Random(),
                log=attempt_log or NoAttemptLog(),
            ),
            prices,
            auto_score=AutoScore.load(),
            unknown_price=_unknown_price(settings),
        )
        if settings.config_path is not None:
            file = ConfigFile(
                settings.config_path,
                config,
                router,
                lambda changed: _catalogue(changed, settings, usable),
            )
            await stack.enter_async_context(file.watching())
        if report is not None:
            watch = partial(_report_health, router, report)
            await stack.enter_async_context(
                every(HEALTH_INTERVAL_SECONDS, watch, name="model_router_health")
            )
        shadows = ShadowPool(settings.max_shadow_calls)
        stack.push_async_callback(shadows.aclose)
        servicer = ModelRouterServicer(
            router,
            shadows=shadows,
            clock=clock,
            default_deadline_seconds=settings.default_deadline_seconds,
            deadline_margin_seconds=settings.deadline_margin_seconds,
        )

        def register(server: grpc.aio.Server) -> None:
            pb_grpc.add_ModelRouterServiceServicer_to_server(servicer, server)

        yield register


@asynccontextmanager
async def _open(*, peers: Peers, health: Health, clock: Clock) -> AsyncIterator[Register]:
    settings = ModelRouterSettings()
    journal = AttemptJournal(
        Journal(settings.data_dir / "model_router" / "attempts.db"),
        peers.channel("accounting"),
        clock=clock,
        interval_seconds=settings.attempt_report_interval_seconds,
        record_limit=settings.journal_record_limit,
    )
    attempts = JournalledAttempts(
        journal, clock=clock, report_delay_seconds=settings.attempt_report_delay_seconds
    )
    async with (
        journal.telling(),
        open_model_router(
            settings,
            attempt_log=attempts,
            clock=clock,
            report=partial(health.set, "model_router"),
        ) as register,
    ):
        yield register


async def _report_health(router: Router, report: Callable[[bool], Awaitable[None]]) -> None:
    await report(router.has_usable_model)


model_router = ServiceDefinition(
    name="model_router",
    proto_service_full_name="parley.model_router.v1.ModelRouterService",
    default_port=50055,
    open=_open,
)


def policy_of(settings: ModelRouterSettings) -> RouterPolicy:
    """Return how hard the router tries, as the operator set it."""
    return RouterPolicy(
        limits=Limits(
            first_token_seconds=settings.first_token_seconds,
            stall_seconds=settings.stall_seconds,
            keep_alive_seconds=settings.keep_alive_seconds,
            reasoning_seconds=settings.reasoning_seconds,
            arguments_seconds=settings.arguments_seconds,
        ),
        mid_stream_policy=MidStreamPolicy[settings.mid_stream_policy.upper()],
        retries=settings.retries,
        first_pause_seconds=settings.first_pause_seconds,
        max_pause_seconds=settings.max_pause_seconds,
        jitter_seconds=settings.jitter_seconds,
        max_retry_after_seconds=settings.max_retry_after_seconds,
    )


def _catalogue(
    config: RouterConfig, settings: ModelRouterSettings, providers: Mapping[str, Provider]
) -> Catalogue:
    catalogue = config.catalogue()
    real = [name for name in providers if name != SIMULATED]
    match settings.simulate:
        case "always":
            return catalogue.simulated()
        case "auto" if not real:
            return catalogue.simulated()
        case _:
            return catalogue.served_by(providers)


def _providers(
    config: RouterConfig,
    settings: ModelRouterSettings,
    stack: AsyncExitStack,
    sleep: Callable[[float], Awaitable[None]],
) -> Iterator[tuple[str, Provider]]:
    """Yield the providers that can be used, and close them at the end."""
    yield SIMULATED, SimulatedProvider(_behaviour(settings), Script.load(), sleep=sleep)
    if settings.simulate == "always":
        return
    for name, each in config.providers.items():
        provider = _provider(name, each, config, settings)
        if provider is not None:
            stack.push_async_callback(provider.aclose)
            yield name, provider


def _provider(
    name: str, each: ProviderConfig, config: RouterConfig, settings: ModelRouterSettings
) -> Provider | None:
    """Return the provider, None without its key. An SDK that nobody uses is not even imported."""
    has_key = bool(_keys(name, config, settings))
    reasons = {word: FinishReason[meaning.upper()] for word, meaning in each.finish_reasons.items()}
    limits = StreamLimits(
        end_seconds=settings.end_seconds, max_stream_bytes=settings.max_stream_bytes
    )
    match each.kind:
        case "openai" if has_key:
            from parley_services.model_router.providers.openai.openai_provider import OpenAIProvider

            return OpenAIProvider(
                http_client=_http_client(settings),
                base_url=each.base_url or settings.openai_base_url,
                finish_reasons=reasons,
                limits=limits,
            )
        case "anthropic" if has_key:
            from parley_services.model_router.providers.anthropic.anthropic_provider import (
                AnthropicProvider,
            )

            return AnthropicProvider(
                http_client=_http_client(settings),
                base_url=each.base_url or settings.anthropic_base_url,
                finish_reasons=reasons,
                limits=limits,
            )
        case "openai_compatible":
            from parley_services.model_router.providers.openai.openai_provider import OpenAIProvider

            return OpenAIProvider(
                http_client=_http_client(settings),
                base_url=each.base_url,
                limit_field=each.limit_field,
                finish_reasons=reasons,
                limits=limits,
            )
        case _:
            return None


def _keys(name: str, config: RouterConfig, settings: ModelRouterSettings) -> list[str]:
    each = config.providers.get(name)
    if each is None:
        return []  # The simulated one is there, named or not.
    if each.api_key_env:
        given = os.environ.get(each.api_key_env, "")
    elif each.kind == "openai":
        given = settings.openai_api_key.get_secret_value()
    elif each.kind == "anthropic":
        given = settings.anthropic_api_key.get_secret_value()
    else:
        given = ""
    return [key.strip() for key in given.split(",") if key.strip()]


def _http_client(settings: ModelRouterSettings) -> httpx2.AsyncClient:
    slowest = max(settings.first_token_seconds, settings.stall_seconds)
    timeout = httpx2.Timeout(slowest, connect=settings.connect_timeout_seconds)
    inner: httpx2.AsyncBaseTransport
    if getproxies():
        # Our own transport knows no proxies; httpx2's client finds those of the environment.
        inner = ClientTransport(httpx2.AsyncClient(timeout=timeout, limits=UNLIMITED))
    else:
        inner = StreamingTransport()
    guarded = GuardedTransport(inner, max_error_bytes=settings.max_error_bytes)
    return httpx2.AsyncClient(timeout=timeout, transport=guarded)


def _behaviour(settings: ModelRouterSettings) -> SimulatedBehaviour:
    failing = settings.simulated_failing_models.split(",")
    return SimulatedBehaviour(
        seed=settings.simulated_seed,
        failure_rate=settings.simulated_failure_rate,
        cut_rate=settings.simulated_cut_rate,
        stall_rate=settings.simulated_stall_rate,
        failing_models=frozenset(name.strip() for name in failing if name.strip()),
        first_token_seconds=settings.simulated_first_token_seconds,
        slow_rate=settings.simulated_slow_rate,
        slow_seconds=settings.simulated_slow_seconds,
        token_seconds=settings.simulated_token_seconds,
        answer=settings.simulated_answer,
    )


def _unknown_price(settings: ModelRouterSettings) -> Price | None:
    usd = settings.unknown_price_usd_per_million
    return None if usd is None else flat_price(nano_usd(usd))
