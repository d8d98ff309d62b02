"""
What `auto` gains: the cost-quality curve of its score against a random choice.

`python -m bench.router_auto` splits LLMRouter's 5,608 questions into five parts, learns the score
from four and uses it on the fifth, five times, so that no question is judged by weights that have
seen it. A share of the questions, those of the highest score, goes to the large model and the
rest to the small one. A random choice lies on the straight line between the two. The picture
goes to docs/quality.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from parley_services.model_router.route.auto import (
    MAX_REASONING_WORDS,
    REASONING_WORD,
    THRESHOLD,
    AutoScore,
)
from parley_services.model_router.route.auto_features import reasoning_word_count
from rich.console import Console
from rich.table import Table

from bench.router_train import LARGE, SMALL, Questions, fit, questions

mpl.use("Agg")
from matplotlib import pyplot

FOLDS = 5
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
SAMPLES = 200
PICTURE = Path("docs/quality/model_router_auto.png")

Values = np.ndarray[Any, Any]


def unseen_scores(data: Questions) -> Values:
    """Return the score of each question by weights that were learnt without it."""
    gains = data.gain(SMALL, LARGE)
    part = np.random.default_rng(0).permutation(len(data.texts)) % FOLDS
    scores = np.zeros(len(data.texts))
    for number in range(FOLDS):
        seen = np.flatnonzero(part != number)
        score = fit([data.texts[n] for n in seen], gains[seen])
        for n in np.flatnonzero(part == number):
            text = data.texts[n]
            words = min(reasoning_word_count(text), MAX_REASONING_WORDS)
            scores[n] = score.of_text(text) + REASONING_WORD * words
    return scores


def curve(scores: Values, gains: Values, floor: float) -> Values:
    """Return the quality with the first 0, 1, 2, ... questions of the highest score given away."""
    ordered = gains[np.argsort(-scores, kind="stable")]
    return floor + np.concatenate([[0.0], np.cumsum(ordered)]) / len(ordered)


def gain_over_random(scores: Values, gains: Values, share: float) -> float:
    """Return how much quality the choice by *scores* has beyond that of a random one."""
    points = curve(scores, gains, 0.0)
    return float(points[int(share * len(gains))] - share * points[-1])


def with_error(scores: Values, gains: Values, share: float) -> str:
    """Return the gain with its standard error over questions drawn again."""
    draw = np.random.default_rng(1)
    samples = [draw.integers(0, len(gains), len(gains)) for _ in range(SAMPLES)]
    spread = np.std([gain_over_random(scores[each], gains[each], share) for each in samples])
    return f"{gain_over_random(scores, gains, share):+.3f} ± {spread:.3f}"


def main() -> None:
    """Print the tables and draw the picture."""
    console, data = Console(), questions()
    scores = unseen_scores(data)
    at_threshold = float(np.mean(scores >= THRESHOLD))
    console.print(_table(data, scores, at_threshold))
    console.print(_pairs(data, scores))
    console.print(f"{_ms_a_text(data.texts):.3f} ms CPU a question")
    _draw(data, scores, at_threshold)


def _table(data: Questions, scores: Values, at_threshold: float) -> Table:
    """Return the curve for the mean of the small against the mean of the large models."""
    gains, floor = data.gain(SMALL, LARGE), float(data.mean(SMALL).mean())
    cheap = float(np.mean([data.prices[each] for each in SMALL]))
    dear = float(np.mean([data.prices[each] for each in LARGE]))
    table = Table("to the large", "price of the mix", "auto", "random", "gain")
    for share in sorted({0.0, *SHARES, at_threshold, 1.0}):
        quality = curve(scores, gains, floor)[int(share * len(gains))]
        table.add_row(
            f"{share:.0%}{' (threshold)' if share == at_threshold else ''}",
            f"${share * dear + (1 - share) * cheap:.2f}",
            f"{quality:.3f}",
            f"{floor + share * gains.mean():.3f}",
            with_error(scores, gains, share),
        )
    best = np.mean(
        [np.maximum(data.scores[s], data.scores[x]).mean() for s in SMALL for x in LARGE]
    )
    table.caption = f"always the better one: {best:.3f}"
    return table


def _pairs(data: Questions, scores: Values) -> Table:
    """Return the gain for each pair of one small and one large model."""
    table = Table("small", "large", "score", "score", *(f"gain at {x:.0%}" for x in SHARES[1:4]))
    for small in SMALL:
        for large in LARGE:
            gains = data.gain([small], [large])
            table.add_row(
                small,
                large,
                f"{data.scores[small].mean():.3f}",
                f"{data.scores[large].mean():.3f}",
                *(with_error(scores, gains, share) for share in SHARES[1:4]),
            )
    return table


def _ms_a_text(texts: Sequence[str]) -> float:
    score = AutoScore.load()
    start = time.process_time()
    for text in texts:
        score.of_text(text)
    return (time.process_time() - start) / len(texts) * 1000


def _draw(data: Questions, scores: Values, at_threshold: float) -> None:
    cheapest = min(SMALL, key=lambda each: data.prices[each])
    best = max(LARGE, key=lambda each: data.scores[each].mean())
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4))
    for axis, small, large, title in (
        (axes[0], SMALL, LARGE, "mean of three small and two large models"),
        (axes[1], (cheapest,), (best,), f"{cheapest} and {best}"),
    ):
        gains, floor = data.gain(small, large), float(data.mean(small).mean())
        cheap = float(np.mean([data.prices[each] for each in small]))
        dear = float(np.mean([data.prices[each] for each in large]))
        prices = cheap + np.linspace(0, 1, len(gains) + 1) * (dear - cheap)
        points = curve(scores, gains, floor)
        axis.plot(prices, curve(gains, gains, floor), ":", color="grey", label="best choice")
        axis.plot(prices, points, label="auto, on questions not learnt from")
        axis.plot(prices[[0, -1]], points[[0, -1]], "--", label="random")
        axis.plot(prices[-1], points[-1], "s", color="black", label="large alone")
        mark = int(at_threshold * len(gains))
        axis.plot(prices[mark], points[mark], "o", color="C0", label="auto, at its threshold")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("US dollars for 1,000,000 input tokens")
        axis.set_ylabel("mean score")
        axis.set_ylim(floor - 0.01, float(points.max()) + 0.03)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
