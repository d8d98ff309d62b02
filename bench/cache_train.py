"""
Trains the cache's verifier and writes its weights into the package; about five minutes.

Needs the dependency group `bench` and PARLEY_BENCH_DATA. Only weights are kept: the pairs
themselves are for research and never leave the data folder.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.verify.alignment_net import AlignmentNet
from parley_services.semantic_cache.verify.features import FEATURES, features_of
from parley_services.semantic_cache.verify.verifier import SOFT_REFUSALS, rule_refusal
from parley_services.semantic_cache.verify.words import WordReader, similarities
from rich.console import Console
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from bench import cache_net
from bench.cache_data import Pair, question_pairs
from bench.cache_traps import lessons, swaps

console = Console()

TRAIN = slice(0, 35_000)
CALIBRATE = slice(35_000, 40_000)
TEST = slice(40_000, 50_000)
FLOOR = 0.70
LEARNT_FROM = 0.50
"""Pairs below this cosine teach nothing about those that are judged."""

LESSONS = 3_000
SWAPS = 500
EPOCHS = 10
WEIGHTS = (
    Path(__file__).parent.parent
    / "services/parley_services/semantic_cache/verify/weights/verifier.npz"
)
RATES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1)


class Seen:
    """What the verifier sees of *pairs*: features, and which of them it refuses for good."""

    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = pairs
        self._embedder = WordLlamaEmbedder()
        self._reader = WordReader(self._embedder)
        self.same = np.array([each.same for each in pairs])
        refused = []
        rows = []
        for pair in pairs:
            one, other = self._reader.read(pair.one), self._reader.read(pair.other)
            refusal = rule_refusal(one.question, other.question)
            cosine = self._reader.cosine(pair.one, pair.other)
            refused.append(bool(refusal) and refusal not in SOFT_REFUSALS)
            rows.append(features_of(one, other, cosine, similarities(one, other)))
        self.features = np.array(rows)
        self.cosine = self.features[:, 0]
        self.refused = np.array(refused)

    def net_logits(self, net: AlignmentNet, part: slice) -> npt.NDArray[np.float64]:
        """Return what *net* says of the pairs in *part*."""
        logits = []
        for pair in self.pairs[part]:
            one, other = self._reader.read(pair.one), self._reader.read(pair.other)
            logits.append(net.logit(one, other, similarities(one, other)))
        return np.array(logits)


def main() -> None:
    pairs = question_pairs()[: CALIBRATE.stop]
    texts = [each.one for each in pairs[TRAIN]]
    seen = Seen([*pairs, *lessons(texts, seed=7, count=LESSONS), *swaps(texts)[:SWAPS]])
    teaches = ~seen.refused & (seen.cosine >= LEARNT_FROM)
    teaches[CALIBRATE] = False
    console.out(f"learning from {teaches.sum():,} pairs")

    model = HistGradientBoostingClassifier(
        max_iter=120, max_leaf_nodes=16, learning_rate=0.1, random_state=0
    )
    model.fit(seen.features[teaches], seen.same[teaches])
    # The net sees no rule's findings, so it learns from all pairs.
    learnt = np.ones(len(seen.pairs), dtype=bool)
    learnt[CALIBRATE] = False
    lessons_of_net = [pair for pair, learn in zip(seen.pairs, learnt, strict=True) if learn]
    trainer = cache_net.Trainer(cache_net.read(lessons_of_net), seed=0)
    trainer.fit(seen.same[learnt], epochs=EPOCHS)
    layers = {name: each.astype(np.float16) for name, each in trainer.arrays().items()}
    net = AlignmentNet.of(layers)

    judged = ~seen.refused[CALIBRATE] & (seen.cosine[CALIBRATE] >= FLOOR)
    logits = np.column_stack(
        [model.decision_function(seen.features[CALIBRATE]), seen.net_logits(net, CALIBRATE)]
    )
    same = seen.same[CALIBRATE]
    blend = LogisticRegression().fit(logits[judged], same[judged])
    scores = blend.predict_proba(logits)[:, 1] * judged
    wrong = np.sort(scores[~same])[::-1]
    # The next score above the one that would be the first too many.
    least = [np.nextafter(wrong[int(rate * len(wrong))], 2.0) for rate in RATES]
    nodes, starts = _flat([each[0].nodes for each in model._predictors])
    WEIGHTS.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        WEIGHTS,
        features=np.array(FEATURES),
        base=float(np.ravel(model._baseline_prediction)[0]),
        nodes=nodes,
        starts=starts,
        blend=np.array([*blend.coef_[0], blend.intercept_[0]]),
        rates=np.array(RATES),
        probabilities=np.array(least),
        **layers,
    )
    console.out(f"blend {blend.coef_[0]} {blend.intercept_[0]:.3f}")
    console.out(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size:,} bytes")


def _flat(trees: list[Any]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Return the nodes of all trees in one table, and where each tree begins."""
    rows = [
        [
            -1.0 if node["is_leaf"] else float(node["feature_idx"]),
            float(node["num_threshold"]),
            float(node["left"]),
            float(node["right"]),
            float(node["value"]),
        ]
        for tree in trees
        for node in tree
    ]
    starts = np.cumsum([0, *(len(tree) for tree in trees[:-1])], dtype=np.int32)
    return np.array(rows, dtype=np.float32), starts


if __name__ == "__main__":
    main()
