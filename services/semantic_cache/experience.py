"""What entries learn from: fresh answers to questions near theirs, and reports on hits."""

from collections.abc import Sequence

from services.semantic_cache.agreement import TextComparison, answers_agree
from services.semantic_cache.curve import MAX_OBSERVATIONS, Observation, score_of
from services.semantic_cache.entry import Answer, Candidate, Entry
from services.semantic_cache.judge import Asked, Judge, best_of
from services.semantic_cache.store import AnswerStore


class Experience:
    """Adds observations to entries of *store*; of two at once the later one may be lost."""

    def __init__(self, store: AnswerStore, judge: Judge, comparison: TextComparison) -> None:
        self._store = store
        self._judge = judge
        self._comparison = comparison

    async def compare(self, asked: Asked, answer: Answer, candidates: Sequence[Candidate]) -> bool:
        """
        Let the candidate that a lookup would have taken learn from a fresh *answer*.

        Return whether the two answers agree. Raises StoreUnavailable.
        """
        # An older answer to the very text is replaced; there is nothing to learn from it.
        others = [each for each in candidates if each.entry.text != asked.text]
        best = best_of([await self._judge.judge(asked, each) for each in others], asked)
        if best is None:
            return False
        agree = answers_agree(answer.text, best.entry.answer.text, self._comparison)
        await self.add(best.entry, best.probability, correct=agree)
        return agree

    async def add(self, entry: Entry, probability: float, *, correct: bool) -> None:
        """Let *entry* learn whether it was right at *probability*. Raises StoreUnavailable."""
        observed = Observation(score=score_of(probability), correct=correct)
        kept = (*entry.observations, observed)[-MAX_OBSERVATIONS:]
        await self._store.learn(entry.entry_id, kept)
