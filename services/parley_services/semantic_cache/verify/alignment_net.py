"""
A small network that aligns the words of two questions and compares what aligns.

The shape is that of Parikh, Täckström, Das and Uszkoreit, "A Decomposable Attention Model
for Natural Language Inference" (2016), with the attention fixed to the words' cosines, and
made symmetric in the two texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from parley_services.semantic_cache.verify.words import Array, Words

SHARPNESS: Final = 12.0
"""How much more the nearest word counts than the next: the cosines' factor in the softmax."""

SCALE: Final = 4.0
"""The sum over a text's words is divided by it, so that it is about as large as its parts."""

LAYERS: Final = (
    "project",
    "compare",
    "compare_bias",
    "judge",
    "judge_bias",
    "answer",
    "answer_bias",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignmentNet:
    """The weights, named after `LAYERS`."""

    project: Array
    compare: Array
    compare_bias: Array
    judge: Array
    judge_bias: Array
    answer: Array
    answer_bias: Array

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> "AlignmentNet":
        """Return the net of *arrays*. Raises KeyError if a layer is missing."""
        return cls(**{layer: arrays[layer].astype(np.float32) for layer in LAYERS})

    def logit(self, one: Words, other: Words, table: Array) -> float:
        """
        Return the log-odds that one answer serves both texts; 0 without words.

        *table* holds the cosines of the words, a row for each of *one* and a column for each
        of *other*.
        """
        if not table.size:
            return 0.0
        # Exponents stay within 12 of 0, so no maximum need be taken out.
        near = np.exp(SHARPNESS * table)
        first, second = one.vectors @ self.project, other.vectors @ self.project
        a = self._compared(first, near @ second / near.sum(axis=1)[:, None])
        b = self._compared(second, near.T @ first / near.sum(axis=0)[:, None])
        judged = np.concatenate((a + b, np.abs(a - b))) @ self.judge + self.judge_bias
        return float((np.maximum(judged, 0.0) @ self.answer + self.answer_bias)[0])

    def _compared(self, own: Array, aligned: Array) -> Array:
        seen = np.concatenate((own * aligned, np.abs(own - aligned), own + aligned), axis=1)
        summed: Array = np.maximum(seen @ self.compare + self.compare_bias, 0.0).sum(axis=0) / SCALE
        return summed
