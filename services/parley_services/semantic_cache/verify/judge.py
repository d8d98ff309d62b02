"""Judges candidates: whether each may be given, and if not, why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from parley_services.semantic_cache.embed.billing import Payer
from parley_services.semantic_cache.embed.embedder import EmbedderUnavailable
from parley_services.semantic_cache.entry import Candidate
from parley_services.semantic_cache.outcome import CandidateVerdict
from parley_services.semantic_cache.partition import Partition
from parley_services.semantic_cache.policy import Policy
from parley_services.semantic_cache.verify.calibration import explore_probability, score_of
from parley_services.semantic_cache.verify.verifier import Verdict, Verifier

log = structlog.get_logger()

EXPLORE = "explore"
"""The refusal of a candidate that learns from a fresh answer first."""

SECOND_FROM: Final = 0.2
"""A probability below this is not worth milliseconds: a second look seldom raises it enough.
Nor is one of 1, for then nothing differs."""


class SecondComparison(Protocol):
    """A stronger and slower way to tell how near two texts are."""

    async def cosine(self, one: str, other: str) -> float:
        """Return the cosine of two texts, -1 to 1. Raises EmbedderUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupContext:
    """What is asked, where, and under which policy."""

    partition: Partition
    text: str
    policy: Policy
    now: float
    """Seconds since the Unix epoch."""

    request_id: str = ""
    """The turn; empty outside of one."""

    @property
    def payer(self) -> Payer:
        """Who pays where a paid embedder is asked."""
        return Payer(tenant_id=self.partition.tenant_id, request_id=self.request_id)


class Judge:
    """
    Judges by *verifier*, and where the policy says so by what each entry learnt.

    *second*, if there is one, compares the texts of those candidates that may still be
    given, and the verifier judges them again by what it says; while it is away the first
    verdict holds. *random* returns floats from 0 up to 1.
    """

    def __init__(
        self,
        verifier: Verifier,
        random: Callable[[], float],
        *,
        second: SecondComparison | None = None,
    ) -> None:
        self._verifier = verifier
        self._random = random
        self._second = second

    async def judge(self, context: LookupContext, candidate: Candidate) -> CandidateVerdict:
        """Return the verdict on one candidate; its refusal is empty if it may be given."""
        entry, policy = candidate.entry, context.policy
        verdict = await self._verdict(context, candidate)
        reasons = [verdict.refusal] if verdict.refusal else []
        # The store filtered by partition and time; neither is left to it alone.
        if entry.partition != context.partition:
            reasons.append(_difference(context.partition, entry.partition))
        if entry.expire_time <= context.now:
            reasons.append("expired")
        own = entry.partition.tenant_id == context.partition.tenant_id
        return CandidateVerdict(
            entry=entry,
            similarity=candidate.similarity,
            probability=verdict.probability,
            refusal=" ".join(reasons),
            features=verdict.features,
            original_text=entry.text if policy.show_original_text and own else "",
        )

    async def _verdict(self, context: LookupContext, candidate: Candidate) -> Verdict:
        texts = (context.text, candidate.entry.text)
        rate = context.policy.max_false_hit_rate
        verdict = self._verifier.verify(*texts, candidate.similarity, max_false_hit_rate=rate)
        if self._second is None or not SECOND_FROM <= verdict.probability < 1.0:
            return verdict
        try:
            cosine = await self._second.cosine(*texts)
        except EmbedderUnavailable:
            log.warning("embedder_away", degraded="one embedder only")
            return verdict
        return self._verifier.verify(
            *texts, candidate.similarity, max_false_hit_rate=rate, second_cosine=cosine
        )

    async def first_accepted(
        self, context: LookupContext, candidates: Sequence[Candidate], *, all_of_them: bool
    ) -> list[CandidateVerdict]:
        """Return the verdicts on *candidates* up to the first accepted one, or *all_of_them*."""
        verdicts: list[CandidateVerdict] = []
        for candidate in candidates:
            verdicts.append(await self.judge(context, candidate))
            if not verdicts[-1].refusal and not all_of_them:
                break
        return verdicts

    async def by_feedback(
        self, context: LookupContext, candidates: Sequence[Candidate]
    ) -> list[CandidateVerdict]:
        """
        Return the verdicts on all *candidates*, the one that could be given first.

        The most probable one that no rule refuses for good is given or explored as its own
        curve says, or given at once if nothing differs; a policy's `max_false_hit_rate` is not
        asked.
        """
        verdicts = [await self.judge(context, candidate) for candidate in candidates]
        best = best_of(verdicts, context)
        if best is None or context.policy.max_error_rate is None:
            return verdicts
        if best.probability == 1.0:
            return [best, *(each for each in verdicts if each is not best)]
        chance = explore_probability(
            best.entry.observations,
            score_of(best.probability),
            max_error_rate=context.policy.max_error_rate,
        )
        explored = self._random() < chance
        decided = replace(
            best,
            refusal=EXPLORE if explored else "",
            features={
                **best.features,
                "explore_probability": chance,
                "observations": float(len(best.entry.observations)),
            },
        )
        return [decided, *(each for each in verdicts if each is not best)]


def best_of(
    verdicts: Sequence[CandidateVerdict], context: LookupContext
) -> CandidateVerdict | None:
    """Return the most probable one that is of the partition, lives, and no rule refuses."""
    possible = [
        each
        for each in verdicts
        if each.probability > 0.0
        and each.entry.partition == context.partition
        and each.entry.expire_time > context.now
    ]
    return max(possible, key=lambda each: each.probability, default=None)


def _difference(wanted: Partition, stored: Partition) -> str:
    names = ("tenant_id", "user_id", "template", "template_version", "model_class", "fingerprint")
    differing = [name for name in names if getattr(wanted, name) != getattr(stored, name)]
    return f"partition:{','.join(differing)}"
