"""Puts the orchestrator together. The only module that knows which classes are real."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from parley.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from parley_services.kit.clock import Clock
from parley_services.kit.rpc.health import Health
from parley_services.kit.rpc.pacing import Pacer
from parley_services.kit.rpc.peers import Peers
from parley_services.kit.rpc.service import Register, ServiceDefinition
from parley_services.kit.storage.journal import Journal
from parley_services.orchestrator.admission.admission import Admission
from parley_services.orchestrator.admission.key_cache import KeyCache
from parley_services.orchestrator.admission.offline import OfflineAllowance
from parley_services.orchestrator.fallback_guardrails import FallbackGuardrails
from parley_services.orchestrator.finish.outbox import Outbox
from parley_services.orchestrator.finish.shadow import Shadows
from parley_services.orchestrator.generate.generation import Generation
from parley_services.orchestrator.generate.shared_generation import SharedGenerations
from parley_services.orchestrator.peers.accounting import GrpcAccounting
from parley_services.orchestrator.peers.baseline import BaselineGuardrails
from parley_services.orchestrator.peers.guardrails import GrpcGuardrails
from parley_services.orchestrator.peers.key_changes import watching_keys
from parley_services.orchestrator.peers.model_catalogue import ListedModelCatalogue
from parley_services.orchestrator.peers.model_router import GrpcRouter
from parley_services.orchestrator.peers.prompt_registry import GrpcPrompts
from parley_services.orchestrator.peers.records import OutboxWriter, deliveries
from parley_services.orchestrator.peers.semantic_cache import GrpcCache
from parley_services.orchestrator.peers.template_snapshot import WatchedTemplates
from parley_services.orchestrator.prompt.prompting import Prompting
from parley_services.orchestrator.reuse.coalescing import Coalescing
from parley_services.orchestrator.reuse.hits import GivenHits
from parley_services.orchestrator.reuse.lookup import Reuse
from parley_services.orchestrator.reuse.replay import Replay
from parley_services.orchestrator.servicer import OrchestratorServicer
from parley_services.orchestrator.settings import OrchestratorSettings
from parley_services.orchestrator.turn import Stages
from parley_services.orchestrator.turn_service import TurnService


@asynccontextmanager
async def open_orchestrator(
    settings: OrchestratorSettings, *, peers: Peers, clock: Clock
) -> AsyncIterator[Register]:
    """Open what the orchestrator needs and yield the function that registers it."""
    accounting = GrpcAccounting(peers.channel("accounting"))
    prompts = GrpcPrompts(peers.channel("prompt_registry"))
    models = ListedModelCatalogue(peers.channel("model_router"))
    cache = GrpcCache(peers.channel("semantic_cache"))
    snapshot = WatchedTemplates(peers.channel("prompt_registry"))
    outbox = Outbox(
        Journal(settings.data_dir / "orchestrator" / "outbox.db"),
        deliveries(
            accounting_channel=peers.channel("accounting"),
            semantic_cache_channel=peers.channel("semantic_cache"),
            prompt_registry_channel=peers.channel("prompt_registry"),
            timeout_seconds=settings.outbox_timeout_seconds,
        ),
        clock=clock,
        record_limit=settings.outbox_record_limit,
    )
    key_cache = KeyCache(
        accounting,
        clock,
        timeout_seconds=settings.accounting_timeout_seconds,
        stale_seconds=settings.stale_key_seconds,
        capacity=settings.key_capacity,
    )
    guard = FallbackGuardrails(
        service=GrpcGuardrails(peers.channel("guardrails")),
        # In one process the service's own rules are compiled already when it fails.
        baseline=BaselineGuardrails(prepare=not peers.is_here("guardrails")),
        fail_closed=settings.fail_closed,
        check_timeout_seconds=settings.guardrails_timeout_seconds,
    )
    writer = OutboxWriter(
        outbox, orphaned_turn_release_delay_seconds=settings.orphaned_turn_release_delay_seconds
    )
    pacer = Pacer()
    generation = Generation(GrpcRouter(peers.channel("model_router")), guard, pacer)
    shadows = Shadows(
        generation,
        writer,
        clock,
        concurrency=settings.shadow_concurrency,
        timeout_seconds=settings.shadow_timeout_seconds,
    )
    stages = Stages(
        admission=Admission(
            key_cache=key_cache,
            accounting=accounting,
            models=models,
            guard=guard,
            writer=writer,
            offline=OfflineAllowance(turn_limit=settings.offline_turn_limit),
            clock=clock,
            max_input_tokens=settings.max_input_tokens,
            reserve_timeout_seconds=settings.accounting_timeout_seconds,
        ),
        prompting=Prompting(
            registry=prompts,
            snapshot=snapshot,
            render_timeout_seconds=settings.prompt_registry_timeout_seconds,
        ),
        reuse=Reuse(
            cache=cache,
            coalescing=Coalescing(
                cache=cache,
                clock=clock,
                wait_seconds=settings.coalesce_wait_seconds,
            ),
            lookup_timeout_seconds=settings.semantic_cache_timeout_seconds,
        ),
        hits=GivenHits(),
        replay=Replay(guard=guard),
        generation=generation,
        shared_generations=SharedGenerations(
            coalesce_deadline_tolerance_seconds=settings.coalesce_deadline_tolerance_seconds
        ),
        writer=writer,
        shadows=shadows,
        pacer=pacer,
        clock=clock,
    )
    servicer = OrchestratorServicer(  # type: ignore[abstract]
        TurnService(
            stages=stages,
            key_cache=key_cache,
            prompts=prompts,
            cache=cache,
            clock=clock,
            default_deadline_seconds=settings.default_deadline_seconds,
            max_deadline_seconds=settings.max_deadline_seconds,
        )
    )

    # The methods of jobs are not overridden: their base answers UNIMPLEMENTED.
    def register(server: grpc.aio.Server) -> None:
        pb_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)

    async with (
        outbox.running(),
        shadows.running(),
        snapshot.watching(),
        models.refreshing(),
        watching_keys(peers.channel("accounting"), key_cache),
    ):
        yield register


@asynccontextmanager
async def _open(*, peers: Peers, health: Health, clock: Clock) -> AsyncIterator[Register]:
    async with open_orchestrator(OrchestratorSettings(), peers=peers, clock=clock) as register:
        yield register


orchestrator = ServiceDefinition(
    name="orchestrator",
    proto_service_full_name="parley.orchestrator.v1.OrchestratorService",
    default_port=50051,
    open=_open,
)
