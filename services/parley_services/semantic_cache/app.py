"""Puts the semantic cache together. The only module that knows which classes are real."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import httpx
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as pb_grpc

from parley_services.kit.clock import Clock, SystemClock
from parley_services.kit.models.prices import Price, PriceTable, flat_price, nano_usd
from parley_services.kit.rpc.health import Health
from parley_services.kit.rpc.peers import Peers
from parley_services.kit.rpc.server import StartRefused
from parley_services.kit.rpc.service import Register, ServiceDefinition
from parley_services.kit.storage.attempt_journal import AttemptJournal
from parley_services.kit.storage.journal import Journal
from parley_services.semantic_cache.cache import CacheLimits, SemanticCache
from parley_services.semantic_cache.embed.embedder import Embedder
from parley_services.semantic_cache.embed.onnx import OnnxEmbedder, OnnxMissing, open_onnx_embedder
from parley_services.semantic_cache.embed.openai import OpenAIEmbedder
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.generation_locks import (
    GenerationLocks,
    GenerationLockStore,
    MemoryGenerationLocks,
)
from parley_services.semantic_cache.maintenance import maintained
from parley_services.semantic_cache.peers.accounting import JournalledBills
from parley_services.semantic_cache.policy import Policies, Policy
from parley_services.semantic_cache.policy_file import PolicyFileError, read_policies
from parley_services.semantic_cache.servicer import SemanticCacheServicer
from parley_services.semantic_cache.settings import SemanticCacheSettings
from parley_services.semantic_cache.statistics import Statistics
from parley_services.semantic_cache.store.edge import open_edge_store
from parley_services.semantic_cache.store.file_statistics import FileStatistics
from parley_services.semantic_cache.store.guarded import GuardedStore, Say, say_nothing
from parley_services.semantic_cache.store.persisted_statistics import (
    MemoryStatistics,
    PersistedStatistics,
    StatisticsStore,
)
from parley_services.semantic_cache.store.store import AnswerStore, StoreUnavailable
from parley_services.semantic_cache.verify.feedback import Feedback
from parley_services.semantic_cache.verify.judge import Judge
from parley_services.semantic_cache.verify.trained_verifier import TrainedVerifier, Weights
from parley_services.semantic_cache.verify.verifier import RuleVerifier, Verifier
from parley_services.semantic_cache.verify.words import WordReader

NAME = "semantic_cache"

_PROVIDER = "openai"
"""Whose prices hold for the embedder."""


@asynccontextmanager
async def open_semantic_cache(
    settings: SemanticCacheSettings,
    *,
    clock: Clock | None = None,
    store: AnswerStore | None = None,
    embedder: Embedder | None = None,
    accounting: grpc.aio.Channel | None = None,
    say: Say = say_nothing,
) -> AsyncIterator[Register]:
    """
    Open what the semantic cache needs and yield the function that registers it.

    Accounting is told over the channel *accounting* what a paid embedder costs. A test passes
    its own *clock*, *store* and *embedder*; production passes none. *say*
    hears when the store is lost and when it is back. Raises StartRefused if the embedded
    store cannot be opened, the policies' file is wrong or an optional part is missing.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        embedder = embedder or await _open_embedder(settings, clock, accounting, stack)
        locks: GenerationLockStore = MemoryGenerationLocks()
        persisted: StatisticsStore = MemoryStatistics()
        if store is None:
            try:
                store, locks, persisted = await _open_stores(settings, embedder, stack)
            except StoreUnavailable as error:
                raise StartRefused(f"The semantic cache cannot start: {error}.") from error
        store = GuardedStore(store, clock, say=say)
        words = embedder if isinstance(embedder, WordLlamaEmbedder) else WordLlamaEmbedder()
        reader = WordReader(words)
        judge = Judge(
            _verifier(settings, reader, is_own=words is embedder),
            random.random,
            second=_open_second(settings, stack),
        )
        statistics = Statistics()
        statistics_writer = PersistedStatistics(statistics, persisted, locks, clock)
        cache = SemanticCache(
            store=store,
            embedder=embedder,
            judge=judge,
            feedback=Feedback(store, judge, reader),
            policies=_policies(settings),
            limits=CacheLimits(
                capacity=settings.capacity,
                candidates=settings.candidates,
                semantic_characters=settings.semantic_characters,
                time_bound_ttl_seconds=settings.time_bound_ttl_seconds,
            ),
            clock=clock,
            random=random.random,
            statistics=statistics,
        )
        servicer = SemanticCacheServicer(cache, GenerationLocks(locks, clock), statistics_writer)

        def register(server: grpc.aio.Server) -> None:
            pb_grpc.add_SemanticCacheServiceServicer_to_server(servicer, server)

        await stack.enter_async_context(
            maintained(
                store, statistics_writer, clock, seconds=settings.maintenance_interval_seconds
            )
        )
        yield register


async def _open_embedder(
    settings: SemanticCacheSettings,
    clock: Clock,
    accounting: grpc.aio.Channel | None,
    stack: AsyncExitStack,
) -> Embedder:
    if settings.embedder == "wordllama":
        return WordLlamaEmbedder()
    if accounting is None:
        raise StartRefused("The cache cannot use a paid embedder without accounting's address.")
    prices = PriceTable.load()
    price = _embedding_price(settings, prices, clock)
    journal = AttemptJournal(
        Journal(settings.data_dir / "embeddings" / "attempts.db"),
        accounting,
        clock=clock,
        interval_seconds=settings.maintenance_interval_seconds,
        record_limit=settings.embedding_record_limit,
    )
    await stack.enter_async_context(journal.telling())
    return OpenAIEmbedder(
        await stack.enter_async_context(httpx.AsyncClient()),
        base_url=settings.openai_base_url,
        api_key=settings.openai_api_key.get_secret_value(),
        model=settings.openai_model,
        dimension=settings.openai_dimension,
        timeout_seconds=settings.openai_timeout_seconds,
        bills=JournalledBills(
            journal,
            clock=clock,
            provider=_PROVIDER,
            model=settings.openai_model,
            price=price,
            price_version=prices.version,
            call_seconds=settings.openai_timeout_seconds,
        ),
    )


def _embedding_price(settings: SemanticCacheSettings, prices: PriceTable, clock: Clock) -> Price:
    if settings.openai_price_usd_per_million is not None:
        return flat_price(nano_usd(settings.openai_price_usd_per_million))
    known = prices.price(provider=_PROVIDER, model=settings.openai_model, at=clock.now())
    if known is None:
        raise StartRefused(
            f"The cache cannot start: nobody knows what {settings.openai_model} costs. Set "
            "PARLEY_SEMANTIC_CACHE_OPENAI_PRICE_USD_PER_MILLION, 0 for an endpoint of your own."
        )
    return known


def _open_second(settings: SemanticCacheSettings, stack: AsyncExitStack) -> OnnxEmbedder | None:
    if settings.onnx_folder is None:
        return None
    try:
        return stack.enter_context(
            open_onnx_embedder(settings.onnx_folder, limit_seconds=settings.onnx_timeout_seconds)
        )
    except OnnxMissing as error:
        raise StartRefused(f"The semantic cache cannot start: {error}.") from error


def _verifier(settings: SemanticCacheSettings, reader: WordReader, *, is_own: bool) -> Verifier:
    if settings.verifier == "rules":
        return RuleVerifier()
    return TrainedVerifier(reader, Weights.load(), similarity_is_ours=is_own)


async def _open_stores(
    settings: SemanticCacheSettings, embedder: Embedder, stack: AsyncExitStack
) -> tuple[AnswerStore, GenerationLockStore, StatisticsStore]:
    if settings.store == "edge":
        folder = settings.data_dir / NAME / embedder.name
        edge = await stack.enter_async_context(
            open_edge_store(folder, dimension=embedder.dimension)
        )
        file = folder.with_name(f"{folder.name}.statistics.json")
        return edge, MemoryGenerationLocks(), FileStatistics(file)
    # 50 MiB that an embedded cache does without.
    from qdrant_client import AsyncQdrantClient

    from parley_services.semantic_cache.store.qdrant import open_qdrant_store
    from parley_services.semantic_cache.store.qdrant_locks import QdrantGenerationLocks
    from parley_services.semantic_cache.store.qdrant_statistics import QdrantStatistics

    client = AsyncQdrantClient(
        url=settings.qdrant_url,
        grpc_port=settings.qdrant_grpc_port,
        prefer_grpc=True,
        api_key=settings.qdrant_api_key.get_secret_value() or None,
        timeout=1,
        check_compatibility=False,
    )
    store = await stack.enter_async_context(
        open_qdrant_store(
            client,
            f"{settings.qdrant_collection}_{embedder.name}",
            dimension=embedder.dimension,
            limit_seconds=settings.store_timeout_seconds,
        )
    )
    return (
        store,
        QdrantGenerationLocks(client, f"{settings.qdrant_collection}_locks"),
        QdrantStatistics(client, f"{settings.qdrant_collection}_statistics"),
    )


def _policies(settings: SemanticCacheSettings) -> Policies:
    default = Policy(
        similarity_threshold=settings.similarity_threshold,
        fallback_similarity_threshold=settings.fallback_similarity_threshold,
        max_false_hit_rate=settings.max_false_hit_rate,
        max_error_rate=settings.max_error_rate or None,
        ttl_seconds=settings.ttl_seconds,
        tenant_capacity=settings.tenant_capacity,
        show_original_text=settings.show_original_text,
    )
    if settings.policies_file is None:
        return Policies(default=default)
    try:
        return read_policies(settings.policies_file, default)
    except PolicyFileError as error:
        raise StartRefused(f"The semantic cache cannot start: {error}.") from error


@asynccontextmanager
async def _open(*, peers: Peers, health: Health, clock: Clock) -> AsyncIterator[Register]:
    async def say(can_answer: bool) -> None:
        await health.set(NAME, can_answer)

    settings = SemanticCacheSettings()
    async with open_semantic_cache(
        settings,
        clock=clock,
        accounting=None if settings.embedder == "wordllama" else peers.channel("accounting"),
        say=say,
    ) as register:
        yield register


semantic_cache = ServiceDefinition(
    name=NAME,
    proto_service_full_name="parley.semantic_cache.v1.SemanticCacheService",
    default_port=50053,
    open=_open,
)
