"""Boosted trees, as values that need no library to be asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Node: TypeAlias = "float | tuple[int, float, Node, Node]"
"""A leaf's value; or a feature, a threshold, and where to go up to it and above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """Trees whose values are added to *base*."""

    base: float
    roots: tuple[Node, ...]

    @classmethod
    def of(
        cls, base: float, nodes: npt.NDArray[np.float32], starts: npt.NDArray[np.int32]
    ) -> "Trees":
        """
        Return the trees of *nodes*, rows of feature, threshold, left, right and value.

        Each tree begins at one of *starts*; left and right count from there. A leaf has
        feature -1.
        """
        rows: list[list[float]] = nodes.tolist()

        def grow(start: int, at: int) -> Node:
            feature, threshold, left, right, value = rows[start + at]
            if feature < 0:
                return value
            return (int(feature), threshold, grow(start, int(left)), grow(start, int(right)))

        return cls(base=base, roots=tuple(grow(start, 0) for start in starts.tolist()))

    def logit(self, values: Sequence[float]) -> float:
        """Return the log-odds for the features' *values*."""
        total = self.base
        for node in self.roots:
            while isinstance(node, tuple):
                node = node[2] if values[node[0]] <= node[1] else node[3]
            total += node
        return total
