"""
Trains the score of `auto` and writes its weights into the package.

`python -m bench.router_train` needs the dependency group `bench` and PARLEY_BENCH_DATA. It reads
LLMRouter's 5,608 questions with the recorded scores of nine models. What is learnt is by how
much the two large general models of today's kind do better, on average, than the three small
ones: weights that are learnt for one pair alone say little about any other pair. Only weights
are kept.
"""

import base64
import json
import os
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from parley_services.model_router.route.auto import WEIGHTS_PATH, AutoScore
from parley_services.model_router.route.auto_features import GRAM_BUCKETS, SURFACE, grams, surface
from rich.console import Console
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import Ridge

SMALL = ("gemma-2-9b-it", "llama-3.1-8b-instruct", "qwen2.5-7b-instruct")
LARGE = ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1")
ALPHA = 8.0
SURFACE_SCALE = 0.1
"""How much the form of a text weighs beside its words, before anything is learnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The questions and how well each model answers them."""

    texts: list[str]
    scores: dict[str, np.ndarray[Any, Any]]
    prices: dict[str, float]

    def mean(self, models: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return the mean score of *models* for each question."""
        return np.mean([self.scores[model] for model in models], axis=0)

    def gain(self, small: Sequence[str], large: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return by how much *large* does better than *small*, for each question."""
        return self.mean(large) - self.mean(small)


def questions() -> Questions:
    """Read the recordings, or exit and say what is missing."""
    root = os.environ.get("PARLEY_BENCH_DATA")
    if not root:
        sys.exit("Set PARLEY_BENCH_DATA to the folder with the recordings.")
    folder = Path(root) / "llmrouter9"
    rows: list[dict[str, Any]] = json.loads((folder / "dcrouter_train.json").read_text())
    prices = json.loads((folder / "default_llm.json").read_text())
    models = list(rows[0]["scores"])
    return Questions(
        texts=[row["question"] for row in rows],
        scores={model: np.array([row["scores"][model] for row in rows]) for model in models},
        prices={model: prices[model]["input_price"] for model in models},
    )


def fit(texts: Sequence[str], gains: np.ndarray[Any, Any]) -> AutoScore:
    """Return the score that is learnt from *texts* and the gain of a large model for each."""
    found = [sorted(grams(text)) for text in texts]
    lengths = np.array([max(len(each), 1) for each in found])
    words = csr_matrix(
        (
            np.repeat(1 / np.sqrt(lengths), [len(each) for each in found]),
            np.concatenate([np.array(each, dtype=int) for each in found]),
            np.concatenate([[0], np.cumsum([len(each) for each in found])]),
        ),
        shape=(len(texts), GRAM_BUCKETS),
    )
    forms = np.array([surface(text) for text in texts])
    middle, spread = forms.mean(axis=0), forms.std(axis=0)
    model = Ridge(alpha=ALPHA).fit(
        hstack([words, (forms - middle) / spread * SURFACE_SCALE]).tocsr(), gains
    )
    of_words, of_forms = model.coef_[:GRAM_BUCKETS], model.coef_[GRAM_BUCKETS:]
    surface_weights = of_forms * SURFACE_SCALE / spread
    unit = float(np.abs(of_words).max()) / 32_767
    return AutoScore(
        base=float(model.intercept_ - surface_weights @ middle),
        surface_weights=tuple(map(float, surface_weights)),
        gram_weights=array("h", np.round(of_words / unit).astype(np.int16).tobytes()),
        gram_unit=unit,
    )


def write(score: AutoScore, path: Path) -> None:
    """Write *score* where the package reads it."""
    document = {
        "base": score.base,
        "surface": dict(zip(SURFACE, score.surface_weights, strict=True)),
        "unit": score.gram_unit,
        "grams": base64.b64encode(array("h", score.gram_weights).tobytes()).decode(),
    }
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(document))


def main() -> None:
    """Learn from all questions."""
    data = questions()
    write(fit(data.texts, data.gain(SMALL, LARGE)), WEIGHTS_PATH)
    Console().print(f"{WEIGHTS_PATH.name}: {WEIGHTS_PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
