"""Says how likely a text attacks a language model: direct order, extraction, indirect order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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

CLASSES: Final = 5
WINDOW_TOKENS: Final = 256
MERGED_TOKENS: Final = 4
"""The model merges so many tokens into one position; a window is padded to a multiple."""

_START, _PADDING, _END = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackScores:
    """The probabilities of a text's most suspicious window; together they are 1."""

    harmless: float
    direct: float
    """An order to drop the rules, a jailbreak, a harmful request in disguise."""

    extraction: float
    """A request for the system prompt or other hidden text."""

    indirect: float
    """An order to the model inside a document."""

    harmful: float
    """A harmful request without disguise, which is no attack on the rules."""

    start: int
    """First character of the window."""

    end: int
    """The character after the window."""

    judged_window_count: int
    window_count: int

    @property
    def attack(self) -> float:
        """Return the probability of an attack of any kind."""
        return self.direct + self.extraction + self.indirect


class AttackJudge:
    """
    Judges texts of any length by windows of 254 tokens that overlap by half.

    A call uses the calling thread for some milliseconds a window, so call it off the event loop;
    calls from several threads at once are fine. Open it with `open_attack_judge`.
    """

    def __init__(self, session: Session, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer

    def judge(
        self,
        text: str,
        *,
        max_windows: int = 8,
        enough: float = 1.0,
        suspicion: Callable[[str], float] | None = None,
    ) -> AttackScores:
        """
        Return the scores of the most suspicious window.

        Of a text with more than *max_windows* windows those with the highest *suspicion* are
        judged, without it the first, the last and some evenly between. Judging ends after a
        window whose `attack` is at least *enough*. Raises JudgeFailed.
        """
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        ids, spans = encoded.ids, encoded.offsets
        size = WINDOW_TOKENS - 2
        starts = list(range(0, max(len(ids) - size // 2, 1), size // 2))
        worst: AttackScores | None = None
        count = 0
        for count, at in enumerate(_chosen(text, starts, size, spans, max_windows, suspicion), 1):
            part = ids[at : at + size]
            row = self._row(part)
            first, last = _span(spans, at, size)
            scores = AttackScores(
                harmless=row[0],
                direct=row[1],
                extraction=row[2],
                indirect=row[3],
                harmful=row[4],
                start=first,
                end=last,
                judged_window_count=count,
                window_count=len(starts),
            )
            if worst is None or scores.attack > worst.attack:
                worst = scores
            if scores.attack >= enough:
                break
        if worst is None:
            raise JudgeFailed("The judge was allowed no window: set max_windows to at least 1.")
        return replace(worst, judged_window_count=count)

    def _row(self, part: list[int]) -> list[float]:
        length = len(part) + 2
        padded = -(-length // MERGED_TOKENS) * MERGED_TOKENS
        ids = np.full((1, padded), _PADDING, np.int64)
        ids[0, :length] = [_START, *part, _END]
        mask = np.zeros((1, padded), np.float32)
        mask[0, :length] = 1
        row: list[float] = probabilities(self._session, {"ids": ids, "mask": mask})[0].tolist()
        return row


def open_attack_judge(folder: Path) -> AttackJudge:
    """Open the judge in *folder* and try it once. Raises JudgeMissing and JudgeBroken."""
    session, tokenizer = open_session(folder)
    judge = AttackJudge(session, tokenizer)
    try:
        row = judge._row([3] * 6)
    except JudgeFailed as error:
        raise JudgeBroken(f"The model in {folder} does not run: export it again.") from error
    if len(row) != CLASSES:
        raise JudgeBroken(f"The model in {folder} has {len(row)} classes instead of {CLASSES}.")
    return judge


def _chosen(
    text: str,
    starts: list[int],
    size: int,
    spans: list[tuple[int, int]],
    limit: int,
    suspicion: Callable[[str], float] | None,
) -> list[int]:
    """Return where the windows to judge start, the most suspicious first."""
    if suspicion is not None:
        ranked = sorted(starts, key=lambda at: -suspicion(text[slice(*_span(spans, at, size))]))
        return ranked[:limit]
    if len(starts) <= limit:
        return starts
    if limit < 2:
        return starts[:limit]
    step = (len(starts) - 1) / (limit - 1)
    return [starts[round(i * step)] for i in range(limit)]


def _span(spans: list[tuple[int, int]], at: int, size: int) -> tuple[int, int]:
    part = spans[at : at + size]
    return (part[0][0], part[-1][1]) if part else (0, 0)
