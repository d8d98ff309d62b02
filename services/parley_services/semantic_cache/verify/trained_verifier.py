"""A verifier that learnt from pairs of questions which of them one answer serves."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from math import exp
from typing import Any

import numpy as np
import numpy.typing as npt

from parley_services.semantic_cache.verify.alignment_net import LAYERS, AlignmentNet
from parley_services.semantic_cache.verify.features import FEATURES, features_of
from parley_services.semantic_cache.verify.trees import Trees
from parley_services.semantic_cache.verify.verifier import (
    SOFT_REFUSALS,
    Verdict,
    is_english,
    nothing_differs,
    rule_refusal,
    same_question,
)
from parley_services.semantic_cache.verify.words import WordReader, similarities


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Which probability holds which rate of false hits."""

    rates: list[float]
    """Rates of false hits, rising, 0 to 1."""

    probabilities: list[float]
    """For each of *rates*, the probability from which a candidate was served at that rate."""

    def probability_for(self, max_false_hit_rate: float) -> float:
        """
        Return the least probability that keeps the rate of false hits at most so high.

        The rate is the share of near questions needing another answer that would be given
        this one, measured on pairs that were not learnt from. A rate below the least that
        was measured gives 1, which serves nothing that differs.
        """
        at = bisect_left(self.rates, max_false_hit_rate)
        if at < len(self.rates) and self.rates[at] == max_false_hit_rate:
            return self.probabilities[at]
        return self.probabilities[at - 1] if at else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondWeights:
    """What a second embedder's cosine adds."""

    blend: tuple[float, float, float]
    """What the log-odds without it and its cosine are multiplied with before they are added,
    and what is added to both."""

    bars: Bars


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What was learnt."""

    trees: Trees
    net: AlignmentNet
    blend: tuple[float, float, float]
    """What the trees' log-odds and the net's are multiplied with before they are added, and
    what is added to both."""

    bars: Bars
    second: SecondWeights | None = None
    """For all-MiniLM-L6-v2, and about right for models of its kind."""

    @classmethod
    def load(cls) -> "Weights":
        """Return the weights of the package. Raises ValueError if they are for other features."""
        return cls.of(_arrays("verifier.npz"), _arrays("second.npz"))

    @classmethod
    def of(
        cls,
        arrays: Mapping[str, npt.NDArray[Any]],
        second: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> "Weights":
        """Return the weights that the arrays hold. Raises ValueError if for other features."""
        if tuple(arrays["features"].tolist()) != FEATURES:
            raise ValueError("The verifier's weights are for other features; train it again.")
        return cls(
            trees=Trees.of(float(arrays["base"]), arrays["nodes"], arrays["starts"]),
            net=AlignmentNet.of({layer: arrays[layer] for layer in LAYERS}),
            blend=_blend(arrays),
            bars=_bars(arrays),
            second=SecondWeights(blend=_blend(second), bars=_bars(second)) if second else None,
        )


def _arrays(name: str) -> dict[str, npt.NDArray[Any]]:
    path = files("parley_services.semantic_cache.verify") / "weights" / name
    with as_file(path) as file, np.load(file) as arrays:
        return dict(arrays)


def _blend(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[float, float, float]:
    first, other, rest = arrays["blend"].tolist()
    return first, other, rest


def _bars(arrays: Mapping[str, npt.NDArray[Any]]) -> Bars:
    return Bars(rates=arrays["rates"].tolist(), probabilities=arrays["probabilities"].tolist())


class TrainedVerifier:
    """
    Serves a candidate in which nothing differs, and one that no rule refuses for good and whose
    probability is high enough.

    What the rules cannot judge, a word in place of another or one more, is left to boosted
    trees over what the two texts share and to a net over their words' vectors. In texts that
    are not English the rules have the last word, for the rest learnt English only.

    With *similarity_is_ours* the similarity that comes with a candidate is the cosine of the
    *reader*'s own vectors, which need not be made again.
    """

    def __init__(
        self,
        reader: WordReader,
        weights: Weights,
        *,
        similarity_is_ours: bool = True,
    ) -> None:
        self._reader = reader
        self._weights = weights
        self._similarity_is_ours = similarity_is_ours

    def verify(
        self,
        asked: str,
        stored: str,
        similarity: float,
        *,
        max_false_hit_rate: float,
        second_cosine: float | None = None,
    ) -> Verdict:
        one, other = self._reader.read(asked), self._reader.read(stored)
        if nothing_differs(one.question, other.question):
            # The pairs that were learnt from differ, all of them.
            return same_question(similarity)
        refusal = rule_refusal(one.question, other.question)
        if refusal and not (
            refusal in SOFT_REFUSALS and is_english(one.question) and is_english(other.question)
        ):
            return Verdict(probability=0.0, refusal=refusal, features={"similarity": similarity})
        cosine = similarity if self._similarity_is_ours else self._reader.cosine(asked, stored)
        table = similarities(one, other)
        values = features_of(one, other, cosine, table)
        weights = self._weights
        trees, net, rest = weights.blend
        logit = (
            trees * weights.trees.logit(values) + net * weights.net.logit(one, other, table) + rest
        )
        features = {"similarity": similarity, **dict(zip(FEATURES, values, strict=True))}
        bars = weights.bars
        if second_cosine is not None and weights.second is not None:
            first, nearness, rest = weights.second.blend
            logit = first * logit + nearness * second_cosine + rest
            bars = weights.second.bars
            features["second_cosine"] = second_cosine
        probability = 1.0 / (1.0 + exp(-logit))
        accepted = probability >= bars.probability_for(max_false_hit_rate)
        return Verdict(
            probability=probability,
            refusal="" if accepted else refusal or "improbable",
            features=features,
        )
