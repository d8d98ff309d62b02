"""What entries learn from: fresh answers to questions near theirs, and reports on hits."""

from collections.abc import Sequence

from parley_services.semantic_cache.entry import Answer, Candidate, Entry
from parley_services.semantic_cache.store.store import AnswerStore
from parley_services.semantic_cache.verify.answer_equivalence import (
    TextComparison,
    answers_are_equivalent,
)
from parley_services.semantic_cache.verify.calibration import (
    MAX_OBSERVATIONS,
    Observation,
    score_of,
)
from parley_services.semantic_cache.verify.judge import Judge, LookupContext, best_of


class Feedback:
    """Adds observations to entries of *store*; of two at once the later one may be lost."""

    def __init__(self, store: AnswerStore, judge: Judge, comparison: TextComparison) -> None:
        self._store = store
        self._judge = judge
        self._comparison = comparison

    async def compare(
        self, context: LookupContext, answer: Answer, candidates: Sequence[Candidate]
    ) -> bool:
        """
        Let the candidate that a lookup would have taken learn from a fresh *answer*.

        Return whether the two answers agree. Raises StoreUnavailable.
        """
        # An older answer to the very text is replaced; there is nothing to learn from it.
        others = [each for each in candidates if each.entry.text != context.text]
        best = best_of([await self._judge.judge(context, each) for each in others], context)
        if best is None:
            return False
        agree = answers_are_equivalent(answer.text, best.entry.answer.text, self._comparison)
        await self.add(best.entry, best.probability, correct=agree)
        return agree

    async def add(self, entry: Entry, probability: float, *, correct: bool) -> None:
        """Let *entry* learn whether it was right at *probability*. Raises StoreUnavailable."""
        observed = Observation(score=score_of(probability), correct=correct)
        kept = (*entry.observations, observed)[-MAX_OBSERVATIONS:]
        await self._store.learn(entry.entry_id, kept)
