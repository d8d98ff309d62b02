"""
Compares the answer of an arm that ran beside with the one that the user got. Imports neither
grpc nor protobuf.

Both texts come with the report and are dropped after it; what is kept is numbers.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import orjson

from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType
from parley_services.prompt_registry.templates.variables import schema_validator

MAX_LENGTH_RATIO: Final = 1_000.0

MAX_COMPARED_CHARACTERS: Final = 32_000
"""What of each text is compared word by word; lengths and forms are of the whole."""

# Scripts that are written without spaces count character by character.
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAnswer:
    """The answer that the user got, beside which an arm ran."""

    version: int
    text: str
    latency_seconds: float = 0.0
    cost_nano_usd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowComparison:
    """How the answer of an arm compares to the one that the user got."""

    length_ratio: float
    """Characters of the arm's answer in one of the other, 0 to 1,000."""
    similarity: float
    """0 (nothing in common) to 1 (the same words)."""
    answer_format_valid: bool
    shadow_format_valid: bool
    answer_latency_seconds: float
    answer_cost_nano_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTally:
    """Sums of comparisons. Two tallies add up, in any order."""

    pair_count: int = 0
    similarity_sum: float = 0.0
    log_length_ratio_sum: float = 0.0
    answer_format_failure_count: int = 0
    shadow_format_failure_count: int = 0
    answer_latency_us: int = 0
    shadow_latency_us: int = 0
    answer_cost_nano_usd: int = 0
    shadow_cost_nano_usd: int = 0

    @property
    def mean_similarity(self) -> float:
        """The mean similarity; 0 without a pair."""
        return self.similarity_sum / self.pair_count if self.pair_count else 0.0

    @property
    def mean_length_ratio(self) -> float:
        """The geometric mean of the ratios of lengths; 0 without a pair."""
        return math.exp(self.log_length_ratio_sum / self.pair_count) if self.pair_count else 0.0

    def __add__(self, other: "ShadowTally") -> "ShadowTally":
        return ShadowTally(
            pair_count=self.pair_count + other.pair_count,
            similarity_sum=self.similarity_sum + other.similarity_sum,
            log_length_ratio_sum=self.log_length_ratio_sum + other.log_length_ratio_sum,
            answer_format_failure_count=(
                self.answer_format_failure_count + other.answer_format_failure_count
            ),
            shadow_format_failure_count=(
                self.shadow_format_failure_count + other.shadow_format_failure_count
            ),
            answer_latency_us=self.answer_latency_us + other.answer_latency_us,
            shadow_latency_us=self.shadow_latency_us + other.shadow_latency_us,
            answer_cost_nano_usd=self.answer_cost_nano_usd + other.answer_cost_nano_usd,
            shadow_cost_nano_usd=self.shadow_cost_nano_usd + other.shadow_cost_nano_usd,
        )


def compare(
    shadow_text: str,
    answer: GivenAnswer,
    *,
    shadow_format: ResponseFormat,
    answer_format: ResponseFormat,
) -> ShadowComparison:
    """Compare the texts of an arm and of *answer*, each in the form that it should have."""
    return ShadowComparison(
        length_ratio=length_ratio(shadow_text, answer.text),
        similarity=similarity(shadow_text, answer.text),
        answer_format_valid=has_format(answer.text, answer_format),
        shadow_format_valid=has_format(shadow_text, shadow_format),
        answer_latency_seconds=answer.latency_seconds,
        answer_cost_nano_usd=answer.cost_nano_usd,
    )


def length_ratio(text: str, other: str) -> float:
    """Return the characters of *text* in one of *other*, up to 1,000; 1 if both are empty."""
    if not other:
        return MAX_LENGTH_RATIO if text else 1.0
    return min(MAX_LENGTH_RATIO, len(text) / len(other))


def similarity(text: str, other: str) -> float:
    """
    Return how much of the words and their order *text* and *other* share, 0 to 1.

    The mean of the F1 overlap of single words and of pairs of words, as ROUGE-1 and ROUGE-2
    have it (Lin: "ROUGE: A Package for Automatic Evaluation of Summaries", 2004,
    https://aclanthology.org/W04-1013). It sees words, not meaning: a good paraphrase is low.
    """
    one, two = _words(text), _words(other)
    if one == two:
        return 1.0
    singles = _overlap(one, two)
    if min(len(one), len(two)) < 2:
        return singles
    pairs = _overlap(pairwise(one), pairwise(two))
    return (singles + pairs) / 2


def has_format(text: str, wanted: ResponseFormat) -> bool:
    """Whether *text* has the form that is *wanted*. A schema that is none fits nothing."""
    if not wanted.is_json:
        return True
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    if wanted.type is ResponseFormatType.JSON_OBJECT:
        return isinstance(value, dict)
    try:
        return schema_validator(wanted.json_schema).is_valid(value)
    except ValueError:
        return False


def shadow_tally(comparison: ShadowComparison, *, latency_seconds: float, cost: int) -> ShadowTally:
    """Return the tally of one *comparison*, with the arm's own time and cost."""
    return ShadowTally(
        pair_count=1,
        similarity_sum=comparison.similarity,
        log_length_ratio_sum=math.log(max(comparison.length_ratio, 1 / MAX_LENGTH_RATIO)),
        answer_format_failure_count=int(not comparison.answer_format_valid),
        shadow_format_failure_count=int(not comparison.shadow_format_valid),
        answer_latency_us=round(comparison.answer_latency_seconds * 1e6),
        shadow_latency_us=round(latency_seconds * 1e6),
        answer_cost_nano_usd=comparison.answer_cost_nano_usd,
        shadow_cost_nano_usd=cost,
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text[:MAX_COMPARED_CHARACTERS].casefold())


def _overlap(one: Iterable[Any], two: Iterable[Any]) -> float:
    """Return the F1 overlap of two bags, 0 to 1; 0 if both are empty."""
    first, second = Counter(one), Counter(two)
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 0.0
