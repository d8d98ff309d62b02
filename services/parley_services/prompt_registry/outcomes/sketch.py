"""
Percentiles of times, in little space and mergeable. Imports neither grpc nor protobuf.

This is DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch
with Relative-Error Guarantees", VLDB 2019, https://arxiv.org/abs/1908.10693): a time is
counted in a bucket whose bounds differ by a constant factor, so that every percentile is
within 1 % of a true one, and sketches add up bucket by bucket.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

RELATIVE_ERROR: Final = 0.01

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)

MIN_SECONDS: Final = 1e-4
MAX_SECONDS: Final = 3_600.0
"""Times outside of these bounds are counted at the bound, so there are at most 870 buckets."""


def bucket_index(seconds: float) -> int:
    """Return the bucket of a time, a number that grows with it."""
    return math.ceil(math.log(min(max(seconds, MIN_SECONDS), MAX_SECONDS)) / _LOG_GAMMA)


def bucket_seconds(index: int) -> float:
    """Return the time that stands for a bucket, within 1 % of all its times."""
    return 2 * math.exp(index * _LOG_GAMMA) / (_GAMMA + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySketch:
    """How many times fell in each bucket."""

    buckets: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: float) -> "LatencySketch":
        """Return the sketch of one time."""
        return cls(buckets={bucket_index(seconds): 1})

    @property
    def count(self) -> int:
        """How many times it holds."""
        return sum(self.buckets.values())

    def quantile(self, share: float) -> float | None:
        """
        Return the time, in seconds, below which *share* (0 to 1) of the times lie.

        None if there are no times.
        """
        rank = share * (self.count - 1)
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen > rank:
                return bucket_seconds(index)
        return None

    def count_above(self, seconds: float) -> int:
        """Return how many times are longer than *seconds*, which may be off by 1 %."""
        bound = bucket_index(seconds)
        return sum(count for index, count in self.buckets.items() if index > bound)

    def __add__(self, other: "LatencySketch") -> "LatencySketch":
        if not other.buckets:
            return self
        merged = dict(self.buckets)
        for index, count in other.buckets.items():
            merged[index] = merged.get(index, 0) + count
        return LatencySketch(buckets=merged)
