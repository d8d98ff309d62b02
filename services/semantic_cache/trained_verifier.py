"""A verifier that learnt from pairs of questions which of them one answer serves."""

from bisect import bisect_left
from dataclasses import dataclass
from importlib.resources import files
from math import exp
from typing import Any

import orjson

from services.semantic_cache.features import FEATURES, FeatureExtractor
from services.semantic_cache.question import question_of
from services.semantic_cache.verifier import WORD_REFUSALS, RuleVerifier, Verdict, is_english

Tree = list[list[float]]
"""Nodes: [feature, threshold, left, right], or [value] for a leaf; the root is the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Boosted trees, and which probability holds which rate of false hits."""

    base: float
    trees: list[Tree]
    rates: list[float]
    """Rates of false hits, rising, 0 to 1."""

    probabilities: list[float]
    """For each of *rates*, the probability from which a candidate was served at that rate."""

    @classmethod
    def load(cls) -> "Weights":
        """Return the weights of the package. Raises ValueError if they are for other features."""
        file = files("services.semantic_cache") / "weights" / "verifier.json"
        content: dict[str, Any] = orjson.loads(file.read_bytes())
        if tuple(content.pop("features")) != FEATURES:
            raise ValueError("The verifier's weights are for other features; train it again.")
        return cls(**content)

    def probability_for(self, max_false_hit_rate: float) -> float:
        """
        Return the least probability that keeps the rate of false hits at most so high.

        The rate is the share of near questions needing another answer that would be given
        this one, measured on pairs that the trees did not see. A rate below the least that
        was measured gives 1, which serves nothing near.
        """
        at = bisect_left(self.rates, max_false_hit_rate)
        if at < len(self.rates) and self.rates[at] == max_false_hit_rate:
            return self.probabilities[at]
        return self.probabilities[at - 1] if at else 1.0


class TrainedVerifier:
    """
    Serves a candidate that no rule refuses and whose probability is high enough.

    What the rules cannot judge, a word in place of another, the trees judge by the words'
    vectors; in texts that are not English the rules have the last word, for the trees
    learnt English only.
    """

    def __init__(
        self, extractor: FeatureExtractor, weights: Weights, *, max_false_hit_rate: float
    ) -> None:
        self._extractor = extractor
        self._weights = weights
        self._rules = RuleVerifier()
        self._least = weights.probability_for(max_false_hit_rate)

    def verify(self, asked: str, stored: str, similarity: float) -> Verdict:
        refusal = self._rules.verify(asked, stored, similarity).refusal
        english = is_english(question_of(asked)) and is_english(question_of(stored))
        if refusal and not (english and refusal in WORD_REFUSALS):
            return Verdict(probability=0.0, refusal=refusal, features={"similarity": similarity})
        values = self._extractor.of(asked, stored, refusal)
        features = {"similarity": similarity, **dict(zip(FEATURES, values, strict=True))}
        probability = self.probability(values)
        return Verdict(
            probability=probability,
            refusal="" if probability >= self._least else "improbable",
            features=features,
        )

    def probability(self, values: list[float]) -> float:
        """Return what the trees say of the features' *values*, 0 to 1."""
        total = self._weights.base
        for tree in self._weights.trees:
            node = tree[0]
            while len(node) > 1:
                node = tree[int(node[2] if values[int(node[0])] <= node[1] else node[3])]
            total += node[0]
        return 1.0 / (1.0 + exp(-total))
