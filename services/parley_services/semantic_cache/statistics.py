"""Counts what the cache did, by tenant and template."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import sqrt
from typing import Any

from parley_services.semantic_cache.outcome import Hit, Miss, Tier

Key = tuple[str, str]
"""Tenant and template."""

OVERFLOW = "(other)"
"""The tenant and template under which all is counted once there are too many."""

MAX_KEYS = 10_000
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
    miss_reasons: Counter[str] = field(default_factory=Counter)
    """Misses by reason, as `no_candidate`."""

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
                self.miss_reasons[reason.key] += 1
                if refusal:
                    self.refusals[refusal] += 1
        if isinstance(outcome, Hit):
            self.saved_cost_nano_usd += outcome.entry.answer.cost_nano_usd

    def add_all(self, other: "Counts") -> None:
        """Add the counts of *other*."""
        for each in fields(self):
            ours, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(ours, Counter):
                ours.update(theirs)
            else:
                setattr(self, each.name, ours + theirs)

    def subtract(self, other: "Counts") -> None:
        """Take the counts of *other* away; they were added before."""
        for each in fields(self):
            ours, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(ours, Counter):
                ours.subtract(theirs)
                for reason in [reason for reason, count in ours.items() if not count]:
                    del ours[reason]
            else:
                setattr(self, each.name, ours - theirs)

    def copy(self) -> "Counts":
        """Return the same counts, to be changed apart."""
        copied = Counts()
        copied.add_all(self)
        return copied

    def plain(self) -> dict[str, Any]:
        """Return what is not 0, as numbers and mappings."""
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        # Not asdict: it takes a Counter apart into counts of pairs.
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in values
            if value
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Counts":
        """Return the counts that `plain` returned; what a later release added is left out."""
        counts = cls()
        for each in fields(cls):
            if (value := plain.get(each.name)) is None:
                continue
            ours = getattr(counts, each.name)
            if isinstance(ours, Counter):
                ours.update(value)
            else:
                setattr(counts, each.name, int(value))
        return counts

    @property
    def lookups(self) -> int:
        return self.exact_hits + self.semantic_hits + self.fallback_hits + self.misses

    @property
    def false_hit_rate(self) -> Share:
        """The share of reported hits that were wrong."""
        return share_of(self.reported_wrong, self.reported_right + self.reported_wrong)


class Statistics:
    """Counts by (tenant, template); bounded, then all others share one key."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._counts: dict[Key, Counts] = {}
        self._max_keys = max_keys

    def of(self, tenant_id: str, template: str) -> Counts:
        """Return the counts to change."""
        key = (tenant_id, template)
        counts = self._counts.get(key)
        if counts is not None:
            return counts
        if len(self._counts) >= self._max_keys:
            key = (OVERFLOW, OVERFLOW)
        return self._counts.setdefault(key, Counts())

    def changed(self) -> dict[Key, Counts]:
        """Return a copy of the counts that are not all 0."""
        zero = Counts()
        return {key: each.copy() for key, each in self._counts.items() if each != zero}

    def subtract(self, counted: Mapping[Key, Counts]) -> None:
        """Take away what was *counted* elsewhere."""
        for key, counts in counted.items():
            self._counts[key].subtract(counts)
