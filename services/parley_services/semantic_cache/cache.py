"""Answers from entries of the same partition, and keeps new ones. Knows no gRPC."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import structlog

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.clock import Clock
from parley_services.kit.errors import NotFound
from parley_services.semantic_cache.checks import (
    check_tenant,
    check_text,
    store_away,
)
from parley_services.semantic_cache.embed.embedder import Embedder, EmbedderUnavailable
from parley_services.semantic_cache.entry import Answer, Candidate, Entry
from parley_services.semantic_cache.evictor import Evictor
from parley_services.semantic_cache.outcome import (
    CandidateVerdict,
    Explanation,
    Hit,
    Miss,
    MissReason,
    NotStored,
    Stored,
    Tier,
)
from parley_services.semantic_cache.partition import Partition, entry_id_of, normalise
from parley_services.semantic_cache.policy import Policies, Scope
from parley_services.semantic_cache.statistics import Key, Statistics
from parley_services.semantic_cache.store.store import (
    AnswerStore,
    Selection,
    StoreUnavailable,
    Vector,
)
from parley_services.semantic_cache.verify.feedback import Feedback
from parley_services.semantic_cache.verify.judge import EXPLORE, Judge, LookupContext
from parley_services.semantic_cache.verify.time_bound import asks_about_now, speaks_of_now

log = structlog.get_logger()

MAX_COUNTED_TEMPLATES = 200
"""Tenants and templates whose entries are counted for one call of the statistics."""


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
        judge: Judge,
        feedback: Feedback,
        policies: Policies,
        limits: CacheLimits,
        clock: Clock,
        random: Callable[[], float],
        statistics: Statistics,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._judge = judge
        self._feedback = feedback
        self._policies = policies
        self._limits = limits
        self._clock = clock
        self._random = random
        self._statistics = statistics
        self._evictor = Evictor(store, capacity=limits.capacity)

    async def lookup(
        self, partition: Partition, text: str, *, is_fallback: bool = False, request_id: str = ""
    ) -> Hit | Miss:
        """
        Return an answer that serves *text*, from *partition* only.

        With *is_fallback* a lower similarity is enough, since no model can be reached;
        what the verifier's rules refuse stays refused. A store or an embedder that is
        away is a Miss. What a paid embedder costs is booked to *request_id*. Raises
        InvalidArgument and InputTooLarge.
        """
        check_text(partition, text)
        counts = self._statistics.of(partition.tenant_id, partition.template)
        outcome, _ = await self._find(
            self._context(partition, text, request_id), is_fallback=is_fallback, judge_all=False
        )
        counts.add(outcome)
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
        check_text(partition, text)
        context = self._context(partition, text)
        try:
            outcome, verdicts = await self._find(context, judge_all=True)
            if any_partition and len(text) <= self._limits.semantic_characters:
                everywhere = Selection(tenant_id=partition.tenant_id)
                found = await self._nearest(context, everywhere, floor=0.0)
                verdicts = await self._judge.first_accepted(context, found, all_of_them=True)
        except (StoreUnavailable, EmbedderUnavailable) as error:
            raise store_away() from error
        return Explanation(outcome=outcome, candidates=tuple(verdicts))

    async def store(
        self,
        partition: Partition,
        text: str,
        answer: Answer,
        *,
        finish_reason: FinishReason,
        ttl_seconds: float | None = None,
        tags: Sequence[str] = (),
        request_id: str = "",
    ) -> Stored | NotStored:
        """
        Keep *answer* for *text*, in place of an earlier one for the same text.

        *ttl_seconds*, above 0, is shortened by a random share (`CacheLimits.ttl_jitter`).
        Where entries learn, the nearest one learns whether its answer agrees; if it does,
        the new one is kept for exact lookups only, so that one entry gathers what there is
        to learn. Raises InvalidArgument, InputTooLarge, and DependencyUnavailable if the
        store is away: calling again is safe. Without the embedder the answer is kept for
        exact lookups.
        """
        check_text(partition, text)
        context = self._context(partition, text, request_id)
        counts = self._statistics.of(partition.tenant_id, partition.template)
        ttl_seconds = context.policy.ttl_seconds if ttl_seconds is None else ttl_seconds
        refusal = ""
        if finish_reason is not FinishReason.STOP:
            refusal = "not_ended_normally"
        elif not answer.text.strip():
            refusal = "empty_answer"
        elif context.policy.scope is Scope.USER and not partition.user_id:
            refusal = "no_user"
        elif asks_about_now(text) or speaks_of_now(answer.text):
            ttl_seconds = min(ttl_seconds, self._limits.time_bound_ttl_seconds)
            refusal = "" if ttl_seconds else "time_bound"
        if refusal:
            counts.store_refusals[refusal] += 1
            return NotStored(refusal=refusal)
        entry = Entry(
            entry_id=entry_id_of(context.partition, text),
            partition=context.partition,
            text=text,
            answer=answer,
            create_time=context.now,
            expire_time=context.now
            + ttl_seconds * (1.0 - self._limits.ttl_jitter * self._random()),
            tags=tuple(tags),
        )
        try:
            vector = await self._vector_of(context)
            if context.policy.max_error_rate is not None and vector is not None:
                candidates = await self._nearest(
                    context,
                    self._own(context),
                    floor=context.policy.similarity_threshold,
                    vector=vector,
                )
                if await self._feedback.compare(context, answer, candidates):
                    vector = None
            await self._store.put(entry, vector)
            counts.evicted += await self._evictor.make_room(
                partition.tenant_id, context.policy.tenant_capacity
            )
        except StoreUnavailable as error:
            raise store_away() from error
        counts.stores += 1
        return Stored(entry_id=entry.entry_id)

    async def report_hit(
        self, tenant_id: str, entry_id: str, *, correct: bool, probability: float = 0.0
    ) -> None:
        """
        Count a hit as right or wrong.

        Where entries learn, this one does, from *probability*, which came with the hit; 0 if
        it is not known. Raises InvalidArgument; NotFound if the tenant has no such entry
        (any more); DependencyUnavailable.
        """
        check_tenant(tenant_id)
        try:
            entry = await self._store.get(entry_id)
            if entry is None or entry.partition.tenant_id != tenant_id:
                raise NotFound(
                    "The tenant has no such cache entry; it may have expired.",
                    resource_type="cache entry",
                    resource_name=entry_id,
                )
            policy = self._policies.of(tenant_id, entry.partition.template)
            # The probability of an exact hit is 1: it says nothing about nearness.
            if policy.max_error_rate is not None and 0.0 < probability < 1.0:
                await self._feedback.add(entry, probability, correct=correct)
        except StoreUnavailable as error:
            raise store_away() from error
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
        check_tenant(selection.tenant_id)
        try:
            return await self._store.remove(selection)
        except StoreUnavailable as error:
            raise store_away() from error

    async def entry_count(self, tenant_id: str = "") -> int:
        """Return the entries of *tenant_id*, or of all. Raises DependencyUnavailable."""
        try:
            return await self._store.count(Selection(tenant_id=tenant_id))
        except StoreUnavailable as error:
            raise store_away() from error

    async def byte_count(self) -> int:
        """Return the bytes of the store on disk, 0 if unknown. Raises DependencyUnavailable."""
        try:
            return await self._store.byte_count()
        except StoreUnavailable as error:
            raise store_away() from error

    async def entries_by_template(self, keys: Collection[Key]) -> dict[Key, int]:
        """
        Return the entries of each tenant and template in *keys*.

        Empty if there are more than `MAX_COUNTED_TEMPLATES`, for each takes a call of the
        store. Raises DependencyUnavailable.
        """
        if len(keys) > MAX_COUNTED_TEMPLATES:
            return {}
        try:
            return {
                (tenant, template): await self._store.count(
                    Selection(tenant_id=tenant, template=template)
                )
                for tenant, template in keys
            }
        except StoreUnavailable as error:
            raise store_away() from error

    def _context(self, partition: Partition, text: str, request_id: str = "") -> LookupContext:
        policy = self._policies.of(partition.tenant_id, partition.template)
        if policy.scope is Scope.TENANT and partition.user_id:
            partition = replace(partition, user_id="")
        return LookupContext(
            partition=partition,
            text=text,
            policy=policy,
            now=self._clock.now().timestamp(),
            request_id=request_id,
        )

    async def _find(
        self, context: LookupContext, *, is_fallback: bool = False, judge_all: bool
    ) -> tuple[Hit | Miss, list[CandidateVerdict]]:
        policy, text = context.policy, context.text
        if (asks_about_now(text) and not self._limits.time_bound_ttl_seconds) or (
            policy.scope is Scope.USER and not context.partition.user_id
        ):
            return Miss(reason=MissReason.NOT_CACHEABLE), []
        try:
            exact = await self._exact(context)
            if exact is not None and not judge_all:
                return exact, []
            if len(text) > self._limits.semantic_characters:
                return exact or Miss(reason=MissReason.NO_CANDIDATE), []
            floor = (
                policy.fallback_similarity_threshold if is_fallback else policy.similarity_threshold
            )
            candidates = await self._nearest(context, self._own(context), floor=floor)
        except (StoreUnavailable, EmbedderUnavailable):
            return Miss(reason=MissReason.STORE_UNAVAILABLE), []
        if policy.max_error_rate is None or is_fallback:
            verdicts = await self._judge.first_accepted(context, candidates, all_of_them=judge_all)
        else:
            verdicts = await self._judge.by_feedback(context, candidates)
        accepted = next((each for each in verdicts if not each.refusal), None)
        if exact is not None:
            return exact, verdicts
        if accepted is None:
            return _miss(verdicts), verdicts
        tier = Tier.FALLBACK if is_fallback else Tier.SEMANTIC
        return _hit(context, accepted.entry, tier, accepted), verdicts

    async def _exact(self, context: LookupContext) -> Hit | None:
        entry = await self._store.get(entry_id_of(context.partition, context.text))
        if (
            entry is None
            # The id is a hash of both; what a hit gives away is checked all the same.
            or entry.partition != context.partition
            or normalise(entry.text) != normalise(context.text)
            or entry.expire_time <= context.now
        ):
            return None
        return _hit(context, entry, Tier.EXACT)

    def _own(self, context: LookupContext) -> Selection:
        return Selection(tenant_id=context.partition.tenant_id, partition=context.partition)

    async def _nearest(
        self,
        context: LookupContext,
        selection: Selection,
        *,
        floor: float,
        vector: Vector | None = None,
    ) -> list[Candidate]:
        return await self._store.nearest(
            await self._embedder.embed(context.text, context.payer) if vector is None else vector,
            selection,
            now=context.now,
            floor=floor,
            limit=self._limits.candidates,
        )

    async def _vector_of(self, context: LookupContext) -> Vector | None:
        if len(context.text) > self._limits.semantic_characters:
            return None
        try:
            return await self._embedder.embed(context.text, context.payer)
        except EmbedderUnavailable:
            log.warning("embedder_away", degraded="exact only")
            return None


def _hit(
    context: LookupContext, entry: Entry, tier: Tier, verdict: CandidateVerdict | None = None
) -> Hit:
    return Hit(
        entry=entry,
        tier=tier,
        similarity=verdict.similarity if verdict else 1.0,
        probability=verdict.probability if verdict else 1.0,
        age_seconds=max(0.0, context.now - entry.create_time),
        original_text=entry.text if context.policy.show_original_text else "",
    )


def _miss(verdicts: Sequence[CandidateVerdict]) -> Miss:
    if not verdicts:
        return Miss(reason=MissReason.NO_CANDIDATE)
    best = verdicts[0]
    if best.refusal == EXPLORE:
        return Miss(
            reason=MissReason.EXPLORE,
            best_similarity=best.similarity,
            explored_entry_id=best.entry.entry_id,
        )
    return Miss(reason=MissReason.REFUSED, best_similarity=best.similarity, refusal=best.refusal)
