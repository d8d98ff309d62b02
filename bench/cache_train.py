"""
Trains the cache's verifier and writes its weights into the package.

Needs the dependency group `bench` and PARLEY_BENCH_DATA. Only weights are kept: the pairs
themselves are for research and never leave the data folder.
"""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingClassifier

from bench.cache_data import Pair, question_pairs, traps
from services.semantic_cache.features import FEATURES, FeatureExtractor
from services.semantic_cache.verifier import WORD_REFUSALS, RuleVerifier
from services.semantic_cache.wordllama_embedder import WordLlamaEmbedder

console = Console()

TRAIN = slice(0, 35_000)
CALIBRATE = slice(35_000, 40_000)
TEST = slice(40_000, 50_000)
FLOOR = 0.70
WEIGHTS = Path(__file__).parent.parent / "services/semantic_cache/weights/verifier.json"
RATES = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1)


def features_of(pairs: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of *pairs*, and which of them a rule or the floor refuses."""
    extractor = FeatureExtractor(WordLlamaEmbedder().vector)
    rules = RuleVerifier()
    refusals = [rules.verify(each.one, each.other, 1.0).refusal for each in pairs]
    values = np.array(
        [
            extractor.of(each.one, each.other, refusal)
            for each, refusal in zip(pairs, refusals, strict=True)
        ]
    )
    refused = np.array([bool(each) and each not in WORD_REFUSALS for each in refusals])
    return values, refused | (values[:, 0] < FLOOR)


def main() -> None:
    pairs = question_pairs()
    wrong = traps([each.one for each in pairs[TRAIN]], seed=7)[:10_000]
    values, refused = features_of(pairs)
    trap_values, _ = features_of(wrong)
    same = np.array([each.same for each in pairs])
    model = HistGradientBoostingClassifier(max_iter=120, max_leaf_nodes=16, learning_rate=0.1)
    model.fit(
        np.vstack([values[TRAIN], trap_values]),
        np.concatenate([same[TRAIN], np.zeros(len(wrong), dtype=bool)]),
    )
    scores = model.predict_proba(values[CALIBRATE])[:, 1]
    scores[refused[CALIBRATE]] = 0.0
    wrong_scores = np.sort(scores[~same[CALIBRATE]])[::-1]
    # The next score above the one that would be the first too many.
    least = [float(np.nextafter(wrong_scores[int(rate * len(wrong_scores))], 2)) for rate in RATES]
    WEIGHTS.parent.mkdir(exist_ok=True)
    WEIGHTS.write_bytes(
        orjson.dumps(
            {
                "features": FEATURES,
                "base": float(np.ravel(model._baseline_prediction)[0]),
                "trees": [_tree(each[0].nodes) for each in model._predictors],
                "rates": RATES,
                "probabilities": least,
            }
        )
    )
    console.out(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size:,} bytes")


def _tree(nodes: Any) -> list[list[float]]:
    return [
        [round(float(node["value"]), 5)]
        if node["is_leaf"]
        else [
            int(node["feature_idx"]),
            float(node["num_threshold"]),
            int(node["left"]),
            int(node["right"]),
        ]
        for node in nodes
    ]


if __name__ == "__main__":
    main()
