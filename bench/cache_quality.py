"""
Compares what the cache serves by cosine alone, by rules and by the trained verifier.

Reads pairs that the verifier was not trained on from PARLEY_BENCH_DATA, prints tables and
writes docs/quality/semantic_cache.png. A false hit is a pair that needs two answers and
would get one; its rate is over all such pairs.
"""

import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.verify.trained_verifier import TrainedVerifier, Weights
from parley_services.semantic_cache.verify.verifier import RuleVerifier
from parley_services.semantic_cache.verify.words import WordReader
from rich.console import Console

from bench.cache_data import Pair, question_pairs
from bench.cache_train import FLOOR, TEST
from bench.cache_traps import noun_traps, traps

console = Console()

PICTURE = Path(__file__).parent.parent / "docs/quality/semantic_cache.png"
RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
DEFAULT_RATE = 0.02


class Judged:
    """The scores of *pairs* by each method; 0 where a method refuses whatever the bar."""

    def __init__(self, pairs: list[Pair]) -> None:
        embedder = WordLlamaEmbedder()
        verifier = TrainedVerifier(WordReader(embedder), Weights.load())
        rules = RuleVerifier()
        self.same = np.array([each.same for each in pairs])
        self.kinds = np.array([each.kind for each in pairs])
        self.cosine = np.array(
            [float(embedder.vector(each.one) @ embedder.vector(each.other)) for each in pairs]
        )
        self.rules = np.array(
            [
                0.0
                if rules.verify(
                    each.one, each.other, cosine, max_false_hit_rate=DEFAULT_RATE
                ).refusal
                else cosine
                for each, cosine in zip(pairs, self.cosine, strict=True)
            ]
        )
        start = time.process_time()
        verdicts = [
            verifier.verify(each.one, each.other, cosine, max_false_hit_rate=DEFAULT_RATE)
            for each, cosine in zip(pairs, self.cosine, strict=True)
        ]
        self.new_microseconds = (time.process_time() - start) / len(pairs) * 1e6
        self.known_microseconds = _again(verifier, pairs, self.cosine)
        near = self.cosine >= FLOOR
        self.trained = np.array([each.probability for each in verdicts]) * near
        self.served = np.array([not each.refusal for each in verdicts]) & near


def _again(verifier: TrainedVerifier, pairs: list[Pair], cosine: np.ndarray) -> float:
    """Return the microseconds a pair that no rule refuses, of texts that were seen before."""
    last = [
        (each, near)
        for each, near in zip(pairs[-1_000:], cosine[-1_000:], strict=True)
        if verifier.verify(each.one, each.other, near, max_false_hit_rate=DEFAULT_RATE).probability
        > 0.0
    ]
    start = time.process_time()
    for each, near in last:
        verifier.verify(each.one, each.other, near, max_false_hit_rate=DEFAULT_RATE)
    return (time.process_time() - start) / len(last) * 1e6


def hits_at(scores: np.ndarray, same: np.ndarray, rate: float) -> float:
    """Return the share of pairs of one answer above the bar that lets *rate* false hits pass."""
    bar = np.quantile(scores[~same], 1.0 - rate, method="higher")
    return float((scores[same] > bar).mean())


def main() -> None:
    pairs = question_pairs()[TEST]
    judged = Judged(pairs)
    console.out(
        f"{len(pairs)} pairs of Quora Question Pairs, {judged.same.sum()} with one answer\n"
    )
    console.out("false hits | cosine | rules | trained | trained / cosine")
    for rate in RATES:
        by = [hits_at(each, judged.same, rate) for each in _methods(judged).values()]
        console.out(
            f"{rate:10.1%} | {by[0]:6.1%} | {by[1]:5.1%} | {by[2]:7.1%} | {by[2] / by[0]:.2f}"
        )
    served, same = judged.served, judged.same
    console.out(f"\nas set by default (max_false_hit_rate {DEFAULT_RATE}):")
    console.out(f"  hits {served[same].mean():.1%}, false hits {served[~same].mean():.1%}")
    console.out(f"  cosine 0.92: hits {(judged.cosine[same] >= 0.92).mean():.1%}, ", end="")
    console.out(f"false hits {(judged.cosine[~same] >= 0.92).mean():.1%}")
    console.out(
        f"  verifier: {judged.known_microseconds:.0f} us of CPU a pair of known texts, "
        f"{judged.new_microseconds:.0f} us of new ones\n"
    )

    texts = [each.one for each in pairs]
    wrong = Judged(traps(texts, seed=11) + noun_traps(texts))
    console.out("trap | pairs | served at cosine 0.92 | served by default")
    for kind in sorted(set(wrong.kinds)):
        of_kind = wrong.kinds == kind
        console.out(
            f"{kind:8} | {of_kind.sum():5} | {(wrong.cosine[of_kind] >= 0.92).mean():21.1%} "
            f"| {wrong.served[of_kind].mean():.2%}"
        )
    console.out(f"all      | {len(wrong.kinds):5} | {(wrong.cosine >= 0.92).mean():21.1%} ", end="")
    console.out(f"| {wrong.served.mean():.2%}")
    _draw(judged)


def _methods(judged: Judged) -> dict[str, np.ndarray]:
    return {
        "cosine alone": judged.cosine,
        "rules": judged.rules,
        "trained verifier": judged.trained,
    }


def _draw(judged: Judged) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot

    rates = np.linspace(0.001, 0.1, 100)
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0))
    for name, scores in _methods(judged).items():
        axes.plot(rates * 100, [100 * hits_at(scores, judged.same, r) for r in rates], label=name)
    axes.set_xlabel("false hits, % of pairs that need two answers")
    axes.set_ylabel("hits, % of pairs that one answer serves")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=120)


if __name__ == "__main__":
    main()
