"""
Measures what a second embedder on ONNX adds to the verifier; with `--train`, learns it first.

    python -m bench.cache_second FOLDER [--train]

FOLDER holds `model.onnx` and `tokenizer.json`. Needs the extra `onnx` and PARLEY_BENCH_DATA;
about four minutes. Learns from the pairs that calibrate the verifier and measures on those
that it never saw.
"""

import sys
import time
from math import log
from pathlib import Path

import numpy as np
import numpy.typing as npt
from parley_services.semantic_cache.embed.onnx import OnnxEmbedder, open_onnx_embedder
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.verify.judge import SECOND_FROM
from parley_services.semantic_cache.verify.trained_verifier import TrainedVerifier, Weights
from parley_services.semantic_cache.verify.words import WordReader
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from bench.cache_data import Pair, question_pairs
from bench.cache_quality import RATES as SHOWN
from bench.cache_quality import hits_at
from bench.cache_train import CALIBRATE, FLOOR, RATES, TEST, WEIGHTS

console = Console()

Array = npt.NDArray[np.float64]


class Compared:
    """What both embedders and the verifier say of *pairs*."""

    def __init__(self, pairs: list[Pair], second: OnnxEmbedder) -> None:
        words = WordLlamaEmbedder()
        verifier = TrainedVerifier(WordReader(words), Weights.load())
        self.same = np.array([each.same for each in pairs])
        self.cosine = np.array(
            [float(words.vector(each.one) @ words.vector(each.other)) for each in pairs]
        )
        near = self.cosine >= FLOOR
        self.first = near * np.array(
            [
                verifier.verify(each.one, each.other, cosine, max_false_hit_rate=0.1).probability
                for each, cosine in zip(pairs, self.cosine, strict=True)
            ]
        )
        start = time.perf_counter()
        self.second = np.array(
            [float(second.vector(each.one) @ second.vector(each.other)) for each in pairs]
        )
        self.milliseconds = (time.perf_counter() - start) / len(pairs) / 2 * 1e3
        self.judged = self.first >= SECOND_FROM

    def seen(self) -> Array:
        """Return what the blend sees, a row for each pair that is judged twice."""
        logits = [log(each / (1.0 - each)) for each in self.first[self.judged]]
        return np.column_stack([logits, self.second[self.judged]])

    def scores(self, of_judged: Array) -> Array:
        """Return the scores of all pairs: *of_judged* where judged twice, else 0."""
        scores = np.zeros(len(self.same))
        scores[self.judged] = of_judged
        return scores


def train(pairs: list[Pair], second: OnnxEmbedder) -> None:
    compared = Compared(pairs, second)
    blend = LogisticRegression(C=10.0).fit(compared.seen(), compared.same[compared.judged])
    scores = compared.scores(blend.predict_proba(compared.seen())[:, 1])
    wrong = np.sort(scores[~compared.same])[::-1]
    np.savez_compressed(
        WEIGHTS.with_name("second.npz"),
        blend=np.array([*blend.coef_[0], blend.intercept_[0]]),
        rates=np.array(RATES),
        probabilities=np.array(
            [np.nextafter(wrong[int(rate * len(wrong))], 2.0) for rate in RATES]
        ),
    )
    console.out(f"blend {blend.coef_[0]} {blend.intercept_[0]:.3f}")


def measure(pairs: list[Pair], second: OnnxEmbedder) -> None:
    compared = Compared(pairs, second)
    weights = Weights.load().second
    if weights is None:
        raise SystemExit("There are no weights for a second embedder: use --train.")
    first, nearness, rest = weights.blend
    seen = compared.seen()
    logits = first * seen[:, 0] + nearness * seen[:, 1] + rest
    both = compared.scores(1.0 / (1.0 + np.exp(-logits)))
    console.out("false hits | cosine of the second | verifier | verifier with the second")
    for rate in SHOWN:
        by = [
            hits_at(each, compared.same, rate) for each in (compared.second, compared.first, both)
        ]
        console.out(f"{rate:10.1%} | {by[0]:20.1%} | {by[1]:8.1%} | {by[2]:6.1%}")
    served = both >= weights.bars.probability_for(0.02)
    console.out(
        f"at max_false_hit_rate 0.02: hits {served[compared.same].mean():.1%}, "
        f"false hits {served[~compared.same].mean():.1%}"
    )
    console.out(
        f"{compared.milliseconds:.1f} ms a new text; "
        f"{compared.judged.mean():.0%} of the pairs are judged twice"
    )


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit("Give the folder that holds model.onnx and tokenizer.json.")
    pairs = question_pairs()
    with open_onnx_embedder(Path(sys.argv[1]), limit_seconds=1.0) as second:
        if "--train" in sys.argv:
            train(pairs[CALIBRATE], second)
        measure(pairs[TEST], second)


if __name__ == "__main__":
    main()
