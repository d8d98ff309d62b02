"""Says how likely the answer to one question serves another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from parley_services.kit.models.judge.session import (
    JudgeBroken,
    JudgeFailed,
    Session,
    open_session,
    probabilities,
)

MAX_QUESTION_TOKENS: Final = 46

_START, _SEPARATOR = 101, 102


class PairJudge:
    """
    Judges pairs of questions of at most 46 tokens each, all words of both at once.

    A call uses the calling thread for some milliseconds a pair, so call it off the event loop;
    calls from several threads at once are fine. Open it with `open_pair_judge`.
    """

    def __init__(self, session: Session, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer

    def same(self, question: str, candidates: Sequence[str]) -> list[float | None]:
        """
        Return, for each candidate, the probability that one answer serves both questions.

        None where a text is longer than the model reads, so that nothing is left uncompared.
        Raises JudgeFailed.
        """
        texts = [question, *candidates]
        lines = [line.ids for line in self._tokenizer.encode_batch(texts, add_special_tokens=False)]
        return [self._one(lines[0], other) for other in lines[1:]]

    def _one(self, one: list[int], other: list[int]) -> float | None:
        if max(len(one), len(other)) > MAX_QUESTION_TOKENS:
            return None
        ids = np.array([[_START, *one, _SEPARATOR, *other, _SEPARATOR]], np.int64)
        types = np.zeros_like(ids)
        types[0, len(one) + 2 :] = 1
        mask = np.ones(ids.shape, np.float32)
        found = probabilities(self._session, {"ids": ids, "types": types, "mask": mask})
        return float(found[0, 1])


def open_pair_judge(folder: Path) -> PairJudge:
    """Open the judge in *folder* and try it once. Raises JudgeMissing and JudgeBroken."""
    session, tokenizer = open_session(folder)
    judge = PairJudge(session, tokenizer)
    try:
        judge.same("one", ["two"])
    except (JudgeFailed, IndexError) as error:
        raise JudgeBroken(f"The model in {folder} does not run: export it again.") from error
    return judge
