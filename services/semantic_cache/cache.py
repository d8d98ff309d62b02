"""Answers from entries of the same partition, and keeps new ones. Knows no gRPC."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from services.kit.clock import Clock
from services.kit.errors import DependencyUnavailable, InputTooLarge, InvalidArgument, NotFound
from services.semantic_cache.embedder import Embedder, EmbedderUnavailable
from services.semantic_cache.entry import Answer, Candidate, Entry
from services.semantic_cache.outcome import (
    Considered,
    Explanation,
    Hit,
    Miss,
    MissReason,
    NotStored,
    Stored,
    Tier,
)
from services.semantic_cache.partition import Partition, entry_id_of, is_entry_id, normalise
from services.semantic_cache.policy import Policies, Policy
from services.semantic_cache.statistics import Counts, Statistics
from services.semantic_cache.store import AnswerStore, Selection, StoreUnavailable, Vector
from services.semantic_cache.time_bound import asks_about_now, speaks_of_now
from services.semantic_cache.verifier import Verifier

log = structlog.get_logger()

MAX_TEXT_BYTES = 64 * 1024
MAX_TAGS = 16
MAX_TAG_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """How much the cache keeps and looks at."""

    capacity: int = 100_000
    """Entries of all tenants together."""

    candidates: int = 5
    """Nearest entries that a lookup verifies at most."""

    semantic_characters: int = 2_000
    """Longer texts are matched exactly only: one vector says too little about them."""

    time_bound_ttl_seconds: float = 0.0
    """How long an answer about now is kept; 0: not at all."""

    ttl_jitter: float = 0.1
    """The largest share by which a time to live is shortened at random, so that entries
    made together do not all expire together."""


class SemanticCache:
    """
    The cache of one store.

    *random* returns floats from 0 up to 1, as `random.random` does. Methods may be
    called concurrently on one event loop.
    """

    def __init__(
        self,
        *,
        store: AnswerStore,
        embedder: Embedder,
        verifier: Verifier,
        policies: Policies,
        limits: CacheLimits,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._verifier = verifier
        self._policies = policies
        self._limits = limits
        self._clock = clock
        self._random = random
        self._statistics = Statistics()
        self._stores_since_count: Counter[str] = Counter()

    async def lookup(
        self, partition: Partition, text: str, *, is_fallback: bool = False
    ) -> Hit | Miss:
        """
        Return an answer that serves *text*, from *partition* only.

        With *is_fallback* a lower similarity is enough, since no model can be reached;
        what the verifier's rules refuse stays refused. A store or an embedder that is
        away is a Miss. Raises InvalidArgument and InputTooLarge.
        """
        _check(partition, text)
        counts = self._statistics.of(partition.tenant_id, partition.template)
        outcome, _ = await self._find(partition, text, is_fallback=is_fallback, judge_all=False)
        _count_lookup(counts, outcome)
        return outcome

    async def explain(
        self, partition: Partition, text: str, *, any_partition: bool = False
    ) -> Explanation:
        """
        Return what a lookup would answer and each candidate with its verdict; counts nothing.

        With *any_partition* the candidates come from all partitions of the tenant, and
        the refusal of a foreign one names the fields that differ, as
        `partition:template_version,fingerprint`. Raises InvalidArgument, InputTooLarge and
        DependencyUnavailable.
        """
        _check(partition, text)
        try:
            outcome, considered = await self._find(partition, text, judge_all=True)
            if any_partition and len(text) <= self._limits.semantic_characters:
                found = await self._store.nearest(
                    await self._embedder.embed(text),
                    Selection(tenant_id=partition.tenant_id),
                    now=self._now(),
                    floor=0.0,
                    limit=self._limits.candidates,
                )
                considered = [self._judge(partition, text, each) for each in found]
        except (StoreUnavailable, EmbedderUnavailable) as error:
            raise _unavailable() from error
        return Explanation(outcome=outcome, considered=tuple(considered))

    async def store(
        self,
        partition: Partition,
        text: str,
        answer: Answer,
        *,
        ended_normally: bool,
        ttl_seconds: float | None = None,
        tags: Sequence[str] = (),
    ) -> Stored | NotStored:
        """
        Keep *answer* for *text*, in place of an earlier one for the same text.

        *ttl_seconds*, above 0, is shortened by a random share (`CacheLimits.ttl_jitter`).
        Raises InvalidArgument, InputTooLarge, and DependencyUnavailable if the store is
        away: calling again is safe. Without the embedder the answer is kept for exact
        lookups.
        """
        _check(partition, text, tags, ttl_seconds)
        counts = self._statistics.of(partition.tenant_id, partition.template)
        policy = self._policies.of(partition.tenant_id)
        ttl_seconds = policy.ttl_seconds if ttl_seconds is None else ttl_seconds
        refusal = ""
        if not ended_normally:
            refusal = "not_ended_normally"
        elif not answer.text.strip():
            refusal = "empty_answer"
        elif asks_about_now(text) or speaks_of_now(answer.text):
            ttl_seconds = min(ttl_seconds, self._limits.time_bound_ttl_seconds)
            refusal = "" if ttl_seconds else "time_bound"
        if refusal:
            counts.store_refusals[refusal] += 1
            return NotStored(refusal=refusal)
        now = self._now()
        entry = Entry(
            entry_id=entry_id_of(partition, text),
            partition=partition,
            text=text,
            answer=answer,
            create_time=now,
            expire_time=now + ttl_seconds * (1.0 - self._limits.ttl_jitter * self._random()),
            tags=tuple(tags),
        )
        try:
            await self._store.put(entry, await self._vector_of(text))
            counts.evicted += await self._make_room(partition.tenant_id, policy.tenant_capacity)
        except StoreUnavailable as error:
            raise _unavailable() from error
        counts.stores += 1
        return Stored(entry_id=entry.entry_id)

    async def report_hit(self, tenant_id: str, entry_id: str, *, correct: bool) -> None:
        """
        Count a hit as right or wrong.

        Raises InvalidArgument; NotFound if the tenant has no such entry (any more);
        DependencyUnavailable.
        """
        _check_tenant(tenant_id)
        _check_entry_id(entry_id)
        try:
            entry = await self._store.get(entry_id)
        except StoreUnavailable as error:
            raise _unavailable() from error
        if entry is None or entry.partition.tenant_id != tenant_id:
            raise NotFound(
                "The tenant has no such cache entry; it may have expired.",
                resource_type="cache entry",
                resource_name=entry_id,
            )
        counts = self._statistics.of(tenant_id, entry.partition.template)
        if correct:
            counts.reported_right += 1
        else:
            counts.reported_wrong += 1

    async def purge(self, selection: Selection) -> int:
        """
        Remove the selected entries of one tenant and return how many there were.

        Raises InvalidArgument without a tenant, and DependencyUnavailable.
        """
        _check_tenant(selection.tenant_id)
        if selection.entry_id:
            _check_entry_id(selection.entry_id)
        try:
            return await self._store.remove(selection)
        except StoreUnavailable as error:
            raise _unavailable() from error

    async def entry_count(self, tenant_id: str = "") -> int:
        """Return the entries of *tenant_id*, or of all. Raises DependencyUnavailable."""
        try:
            return await self._store.count(Selection(tenant_id=tenant_id))
        except StoreUnavailable as error:
            raise _unavailable() from error

    async def byte_count(self) -> int:
        """Return the bytes of the store on disk, 0 if unknown. Raises DependencyUnavailable."""
        try:
            return await self._store.byte_count()
        except StoreUnavailable as error:
            raise _unavailable() from error

    def counts(self, tenant_id: str = "") -> list[tuple[str, str, Counts]]:
        """Return tenant, template and counts, sorted; only of *tenant_id* if given."""
        return self._statistics.all(tenant_id)

    async def _find(
        self, partition: Partition, text: str, *, is_fallback: bool = False, judge_all: bool
    ) -> tuple[Hit | Miss, list[Considered]]:
        policy = self._policies.of(partition.tenant_id)
        if asks_about_now(text) and not self._limits.time_bound_ttl_seconds:
            return Miss(reason=MissReason.NOT_CACHEABLE), []
        try:
            exact = await self._exact(partition, text, policy)
            if exact is not None and not judge_all:
                return exact, []
            if len(text) > self._limits.semantic_characters:
                return exact or Miss(reason=MissReason.NO_CANDIDATE), []
            threshold = (
                policy.fallback_similarity_threshold if is_fallback else policy.similarity_threshold
            )
            candidates = await self._store.nearest(
                await self._embedder.embed(text),
                Selection(tenant_id=partition.tenant_id, partition=partition),
                now=self._now(),
                floor=threshold,
                limit=self._limits.candidates,
            )
        except (StoreUnavailable, EmbedderUnavailable):
            return Miss(reason=MissReason.STORE_UNAVAILABLE), []
        tier = Tier.FALLBACK if is_fallback else Tier.SEMANTIC
        considered: list[Considered] = []
        hit: Hit | None = exact
        for candidate in candidates:
            judged = self._judge(partition, text, candidate)
            considered.append(judged)
            if judged.refusal or hit is not None:
                continue
            hit = self._hit(judged.entry, tier, judged.similarity, judged.probability, policy)
            if not judge_all:
                break
        return hit or _miss(considered), considered

    async def _exact(self, partition: Partition, text: str, policy: Policy) -> Hit | None:
        entry = await self._store.get(entry_id_of(partition, text))
        if (
            entry is None
            # The id is a hash of both; what a hit gives away is checked all the same.
            or entry.partition != partition
            or normalise(entry.text) != normalise(text)
            or entry.expire_time <= self._now()
        ):
            return None
        return self._hit(entry, Tier.EXACT, 1.0, 1.0, policy)

    def _judge(self, partition: Partition, text: str, candidate: Candidate) -> Considered:
        entry = candidate.entry
        policy = self._policies.of(partition.tenant_id)
        verdict = self._verifier.verify(text, entry.text, candidate.similarity)
        reasons = [verdict.refusal] if verdict.refusal else []
        # The store filtered by partition and time; neither is left to it alone.
        if entry.partition != partition:
            reasons.append(_difference(partition, entry.partition))
        if entry.expire_time <= self._now():
            reasons.append("expired")
        shown = policy.show_original_text and entry.partition.tenant_id == partition.tenant_id
        return Considered(
            entry=entry,
            similarity=candidate.similarity,
            probability=verdict.probability,
            refusal=" ".join(reasons),
            features=verdict.features,
            original_text=entry.text if shown else "",
        )

    def _hit(
        self, entry: Entry, tier: Tier, similarity: float, probability: float, policy: Policy
    ) -> Hit:
        return Hit(
            entry=entry,
            tier=tier,
            similarity=similarity,
            probability=probability,
            age_seconds=max(0.0, self._now() - entry.create_time),
            original_text=entry.text if policy.show_original_text else "",
        )

    async def _vector_of(self, text: str) -> Vector | None:
        if len(text) > self._limits.semantic_characters:
            return None
        try:
            return await self._embedder.embed(text)
        except EmbedderUnavailable:
            log.warning("embedder_away", degraded="exact only")
            return None

    async def _make_room(self, tenant_id: str, tenant_capacity: int) -> int:
        """Remove the oldest quarter where a capacity is exceeded; return how many went."""
        evicted = 0
        for selected, capacity in (
            (tenant_id, tenant_capacity),
            ("", self._limits.capacity),
        ):
            self._stores_since_count[selected] += 1
            # Counting costs more than storing, so a capacity may be exceeded by 1 %.
            if self._stores_since_count[selected] <= capacity // 100:
                continue
            self._stores_since_count[selected] = 0
            selection = Selection(tenant_id=selected)
            if await self._store.count(selection) > capacity:
                evicted += await self._store.remove_oldest(selection, max(1, capacity // 4))
        return evicted

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _check(
    partition: Partition,
    text: str,
    tags: Sequence[str] = (),
    ttl_seconds: float | None = None,
) -> None:
    _check_tenant(partition.tenant_id, "partition.tenant_id")
    if not text.strip():
        raise InvalidArgument.field("text", "Give the user's text; it may not be blank.")
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise InputTooLarge("The text is longer than 64 KiB; shorten it or skip the cache.")
    if len(tags) > MAX_TAGS or any(not 0 < len(tag) <= MAX_TAG_CHARACTERS for tag in tags):
        raise InvalidArgument.field("tags", "Give up to 16 tags of 1 to 64 characters.")
    if ttl_seconds is not None and ttl_seconds <= 0:
        raise InvalidArgument.field("ttl", "Give a time above zero, or leave it out.")


def _check_tenant(tenant_id: str, field: str = "tenant_id") -> None:
    if not tenant_id:
        raise InvalidArgument.field(field, "Name the tenant; no entry is shared among tenants.")


def _check_entry_id(entry_id: str) -> None:
    if not is_entry_id(entry_id):
        raise InvalidArgument.field("entry_id", "Give the id that came with a hit.")


def _unavailable() -> DependencyUnavailable:
    return DependencyUnavailable(
        "The cache's store cannot be reached; try again shortly.", retry_after_seconds=1.0
    )


def _difference(asked: Partition, stored: Partition) -> str:
    names = ("tenant_id", "user_id", "template", "template_version", "model_class", "fingerprint")
    differing = [name for name in names if getattr(asked, name) != getattr(stored, name)]
    return f"partition:{','.join(differing)}"


def _miss(considered: Sequence[Considered]) -> Miss:
    if not considered:
        return Miss(reason=MissReason.NO_CANDIDATE)
    best = considered[0]
    return Miss(reason=MissReason.REFUSED, best_similarity=best.similarity, refusal=best.refusal)


def _count_lookup(counts: Counts, outcome: Hit | Miss) -> None:
    match outcome:
        case Hit(tier=Tier.EXACT):
            counts.exact_hits += 1
        case Hit(tier=Tier.FALLBACK):
            counts.fallback_hits += 1
        case Hit():
            counts.semantic_hits += 1
        case Miss(refusal=refusal):
            counts.misses += 1
            if refusal:
                counts.refusals[refusal] += 1
    if isinstance(outcome, Hit):
        counts.saved_cost_nano_usd += outcome.entry.answer.cost_nano_usd
