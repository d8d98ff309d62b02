"""Counts what the cache did, by tenant and template, since the start."""

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt

from services.semantic_cache.outcome import Hit, Miss, MissReason, Tier

OVERFLOW = "(other)"
"""The tenant and template under which all is counted once there are too many."""

_MAX_KEYS = 10_000
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An estimated share with its 95 % interval, each 0 to 1."""

    estimate: float
    low: float
    high: float


def share_of(count: int, total: int) -> Share:
    """
    Return *count* of *total* as a share with Wilson's score interval.

    Wilson's, since it stays sensible for few reports and for a share near 0 (Brown, Cai
    and DasGupta, "Interval Estimation for a Binomial Proportion", 2001). Without a
    report all three are 0.
    """
    if total == 0:
        return Share(estimate=0.0, low=0.0, high=0.0)
    share, square = count / total, _Z95 * _Z95
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = (
        _Z95
        * sqrt(share * (1 - share) / total + square / (4 * total * total))
        / (1 + square / total)
    )
    return Share(estimate=share, low=max(0.0, centre - half), high=min(1.0, centre + half))


@dataclass(slots=True, kw_only=True)
class Counts:
    """What happened to one template of one tenant."""

    exact_hits: int = 0
    semantic_hits: int = 0
    fallback_hits: int = 0
    misses: int = 0
    miss_reasons: Counter[MissReason] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """Candidates that the verifier refused, by reason."""

    stores: int = 0
    store_refusals: Counter[str] = field(default_factory=Counter)
    evicted: int = 0
    saved_cost_nano_usd: int = 0
    reported_right: int = 0
    reported_wrong: int = 0

    def add(self, outcome: Hit | Miss) -> None:
        """Count a lookup that had this *outcome*."""
        match outcome:
            case Hit(tier=Tier.EXACT):
                self.exact_hits += 1
            case Hit(tier=Tier.FALLBACK):
                self.fallback_hits += 1
            case Hit():
                self.semantic_hits += 1
            case Miss(reason=reason, refusal=refusal):
                self.misses += 1
                self.miss_reasons[reason] += 1
                if refusal:
                    self.refusals[refusal] += 1
        if isinstance(outcome, Hit):
            self.saved_cost_nano_usd += outcome.entry.answer.cost_nano_usd

    @property
    def lookups(self) -> int:
        return self.exact_hits + self.semantic_hits + self.fallback_hits + self.misses

    @property
    def false_hit_rate(self) -> Share:
        """The share of reported hits that were wrong."""
        return share_of(self.reported_wrong, self.reported_right + self.reported_wrong)


class Statistics:
    """Counts by (tenant, template); bounded, then all others share one key."""

    def __init__(self, max_keys: int = _MAX_KEYS) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}
        self._max_keys = max_keys

    def of(self, tenant_id: str, template: str) -> Counts:
        """Return the counts to change."""
        counts = self._counts.get((tenant_id, template))
        if counts is not None:
            return counts
        key = (tenant_id, template)
        if len(self._counts) >= self._max_keys:
            key = (OVERFLOW, OVERFLOW)
        return self._counts.setdefault(key, Counts())

    def all(self, tenant_id: str = "") -> list[tuple[str, str, Counts]]:
        """Return tenant, template and counts, sorted; only of *tenant_id* if given."""
        return [
            (tenant, template, self._counts[tenant, template])
            for tenant, template in sorted(self._counts)
            if tenant_id in ("", tenant)
        ]
