"""Trains the cache's alignment net: gradients by hand, steps by Adam (Kingma and Ba, 2015)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from parley_services.semantic_cache.embed.wordllama import WordLlamaEmbedder
from parley_services.semantic_cache.verify.alignment_net import LAYERS, SCALE, SHARPNESS
from parley_services.semantic_cache.verify.question import question_of

from bench.cache_data import Pair

Array = npt.NDArray[np.float32]

WORDS = 24
"""Words of a text that are learnt from."""

_PROJECTED, _COMPARED, _JUDGED = 32, 48, 48
_BATCH = 256
_RATE = 1.5e-3
_DECAY = 1e-4
_DROPPED_WORDS, _DROPPED_UNITS = 0.1, 0.2


@dataclass(slots=True, kw_only=True)
class Texts:
    """Pairs as places in a table of word vectors; place 0 stands for no word."""

    places: npt.NDArray[np.int32]
    """Of shape (pairs, 2, WORDS)."""

    vectors: Array
    units: Array


def read(pairs: Sequence[Pair]) -> Texts:
    """Return *pairs* by their words' vectors."""
    embedder = WordLlamaEmbedder()
    place_of: dict[str, int] = {}
    vectors = [np.zeros(embedder.dimension, dtype=np.float32)]
    places = np.zeros((len(pairs), 2, WORDS), dtype=np.int32)
    for number, pair in enumerate(pairs):
        for side, text in enumerate((pair.one, pair.other)):
            for at, word in enumerate(question_of(text).tokens[:WORDS]):
                if word not in place_of:
                    place_of[word] = len(vectors)
                    vectors.append(embedder.word(word))
                places[number, side, at] = place_of[word]
    table = np.array(vectors)
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    return Texts(places=places, vectors=table, units=table / np.maximum(lengths, 1e-6))


class Trainer:
    """One net while it learns."""

    def __init__(self, texts: Texts, *, seed: int) -> None:
        self._texts = texts
        self._draw = np.random.default_rng(seed)
        # Vectors enter with a mean length of 1.
        self._scale = 1.0 / float(np.linalg.norm(texts.vectors[1:], axis=1).mean())
        width = texts.vectors.shape[1]
        self.layers: dict[str, Array] = {
            "project": self._random(width, _PROJECTED, 0.7),
            "compare": self._random(3 * _PROJECTED, _COMPARED),
            "compare_bias": np.zeros(_COMPARED, dtype=np.float32),
            "judge": self._random(2 * _COMPARED, _JUDGED),
            "judge_bias": np.zeros(_JUDGED, dtype=np.float32),
            "answer": self._random(_JUDGED, 1, 0.5),
            "answer_bias": np.zeros(1, dtype=np.float32),
        }
        self._first = {name: np.zeros_like(each) for name, each in self.layers.items()}
        self._second = {name: np.zeros_like(each) for name, each in self.layers.items()}
        self._steps = 0

    def fit(self, same: npt.NDArray[np.bool_], *, epochs: int) -> None:
        """Learn which pairs are the *same*; the rate rises for 100 steps, then falls to 2 %."""
        total = epochs * (len(same) // _BATCH)
        for _ in range(epochs):
            order = self._draw.permutation(len(same))
            for start in range(0, len(same) - _BATCH + 1, _BATCH):
                chosen = order[start : start + _BATCH]
                done = self._steps
                rate = _RATE * min(1.0, (done + 1) / 100) * max(0.02, 1.0 - done / total)
                self._step(self._texts.places[chosen], same[chosen].astype(np.float32), rate)

    def arrays(self) -> dict[str, Array]:
        """Return the layers as the service reads them, for vectors as they are."""
        return self.layers | {"project": self.layers["project"] * self._scale}

    def _random(self, rows: int, columns: int, factor: float = 1.0) -> Array:
        # He et al., "Delving Deep into Rectifiers", 2015.
        spread = factor * np.sqrt(2.0 / rows)
        return (self._draw.standard_normal((rows, columns)) * spread).astype(np.float32)

    def _kept(self, shape: tuple[int, ...], dropped: float) -> Array:
        return ((self._draw.random(shape) >= dropped) / (1.0 - dropped)).astype(np.float32)

    def _step(self, places: npt.NDArray[np.int32], same: Array, rate: float) -> None:
        layers = self.layers
        present = (places > 0).astype(np.float32)[..., None]
        near = _attention(self._texts.units[places], present)
        seen = self._texts.vectors[places] * self._scale
        seen *= self._kept((*places.shape, 1), _DROPPED_WORDS)
        own = seen @ layers["project"]
        aligned = near @ own[:, ::-1]
        apart = own - aligned
        compared_in = np.concatenate([own * aligned, np.abs(apart), own + aligned], axis=-1)
        compared = compared_in @ layers["compare"] + layers["compare_bias"]
        kept = present * self._kept(compared.shape, _DROPPED_UNITS) * (compared > 0)
        summed = (compared * kept).sum(axis=2) / SCALE
        sign = np.sign(summed[:, 0] - summed[:, 1])
        judged_in = np.concatenate(
            [summed[:, 0] + summed[:, 1], np.abs(summed[:, 0] - summed[:, 1])], axis=1
        )
        judged = judged_in @ layers["judge"] + layers["judge_bias"]
        kept_judged = self._kept(judged.shape, _DROPPED_UNITS) * (judged > 0)
        logits = ((judged * kept_judged) @ layers["answer"] + layers["answer_bias"])[:, 0]

        # Backwards, in the same order: d_x is the loss's gradient by x.
        d_logits = ((1.0 / (1.0 + np.exp(-logits)) - same) / len(same))[:, None]
        d_judged = (d_logits @ layers["answer"].T) * kept_judged
        d_both, d_differ = np.split(d_judged @ layers["judge"].T, 2, axis=1)
        d_summed = np.stack([d_both + d_differ * sign, d_both - d_differ * sign], axis=1) / SCALE
        d_compared = d_summed[:, :, None, :] * kept
        d_product, d_apart, d_sum = np.split(d_compared @ layers["compare"].T, 3, axis=-1)
        d_apart = d_apart * np.sign(apart)
        d_aligned = d_product * own - d_apart + d_sum
        d_own = d_product * aligned + d_apart + d_sum
        d_own = d_own + (near.transpose(0, 1, 3, 2) @ d_aligned)[:, ::-1]
        self._adam(
            {
                "project": _outer(seen, d_own),
                "compare": _outer(compared_in, d_compared),
                "compare_bias": d_compared.sum(axis=(0, 1, 2)),
                "judge": judged_in.T @ d_judged,
                "judge_bias": d_judged.sum(axis=0),
                "answer": (judged * kept_judged).T @ d_logits,
                "answer_bias": d_logits.sum(axis=0),
            },
            rate,
        )

    def _adam(self, gradients: dict[str, Array], rate: float) -> None:
        self._steps += 1
        for name in LAYERS:
            gradient, weights = gradients[name], self.layers[name]
            self._first[name] = 0.9 * self._first[name] + 0.1 * gradient
            self._second[name] = 0.999 * self._second[name] + 0.001 * gradient * gradient
            mean = self._first[name] / (1.0 - 0.9**self._steps)
            spread = np.sqrt(self._second[name] / (1.0 - 0.999**self._steps))
            decay = _DECAY * weights if weights.ndim > 1 else 0.0
            weights -= rate * (mean / (spread + 1e-8) + decay)


def _attention(units: Array, present: Array) -> Array:
    """Return for each word of each side how much it looks at each word of the other side."""
    table = np.exp(SHARPNESS * (units[:, 0] @ units[:, 1].transpose(0, 2, 1)))
    both = np.stack([table, table.transpose(0, 2, 1)], axis=1)
    both = both * present[:, ::-1].transpose(0, 1, 3, 2)
    weights: Array = both / np.maximum(both.sum(axis=-1, keepdims=True), 1e-9)
    return weights


def _outer(before: Array, after: Array) -> Array:
    product: Array = before.reshape(-1, before.shape[-1]).T @ after.reshape(-1, after.shape[-1])
    return product
