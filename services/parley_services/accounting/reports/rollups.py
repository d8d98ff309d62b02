"""
Sums of the ledger over spans of time, so that a year is read in a few rows.

A span is an hour, a day, or a block of 8, 64 or 512 days counted from 1970, in UTC. Each
entry is added to one span of each length, so that any range of days is covered by at most
fourteen spans of each length but the longest, as a number is by its digits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from operator import add
from typing import NamedTuple

from parley_services.accounting.reports.costs import CostGrouping

ALL_TENANTS = ""
"""Stands for all tenants together. No tenant has an empty id."""

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

SUMS = (
    "turn_count",
    "attempt_count",
    "cache_hit_count",
    "input_token_count",
    "cached_input_token_count",
    "cache_write_token_count",
    "output_token_count",
    "reasoning_token_count",
    "cost_nano_usd",
    "saved_cost_nano_usd",
)
"""What is summed, in the order of `Sums`."""

Sums = tuple[int, ...]


class Span(IntEnum):
    """The length of a span. The numbers are stored."""

    HOUR = 0
    DAY = 1
    DAYS_8 = 2
    DAYS_64 = 3
    DAYS_512 = 4

    @property
    def microseconds(self) -> int:
        """How long it is."""
        return HOUR_US if self is Span.HOUR else DAY_US * 8 ** (self - 1)

    def start_us(self, time_us: int) -> int:
        """Return the start of the span that holds *time_us*."""
        return time_us - time_us % self.microseconds


# Plain values: rolling up makes tens of keys for each entry, and hashing an enum is slow.
TOTAL = "total"
"""The dimension that is not grouped."""

_USER, _MODEL = CostGrouping.USER.key, CostGrouping.MODEL.key
_TEMPLATE, _TEAM = CostGrouping.TEMPLATE.key, CostGrouping.TEAM.key
_KEY, _TENANT, _TAG = CostGrouping.KEY.key, CostGrouping.TENANT.key, CostGrouping.TAG.key
_HOUR, _DAY = Span.HOUR.value, Span.DAY.value
_DAYS_AND_LONGER = tuple((span.value, span.microseconds) for span in Span if span is not Span.HOUR)

OF_ONE_TENANT = frozenset({_USER, _TEAM, _KEY})
"""Dimensions with so many names that they are not summed over all tenants as well: it would
double what rolling up costs, and adds up quickly enough when it is asked for."""


class RollupKey(NamedTuple):
    """What a sum is of, in the order of the columns."""

    dimension: str
    """The key of a `CostGrouping`, or `total`, by which HOUR and DAY are read as well."""
    tag: str
    level: int
    tenant_id: str
    start_us: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What rolling up needs of an entry."""

    tenant_id: str
    user_id: str
    model: str
    template: str
    team_id: str
    key_id: str
    tags: Mapping[str, str]
    end_time_us: int
    sums: Sums


def roll_up(entries: Iterable[Spent]) -> dict[RollupKey, Sums]:
    """Return what *entries* add to the sums."""
    hours: dict[RollupKey, Sums] = {}
    days: dict[RollupKey, Sums] = {}
    for entry in entries:
        tenant_id, sums = entry.tenant_id, entry.sums
        hour_us = entry.end_time_us - entry.end_time_us % HOUR_US
        day_us = entry.end_time_us - entry.end_time_us % DAY_US
        _add(hours, RollupKey(TOTAL, "", _HOUR, tenant_id, hour_us, ""), sums)
        for dimension, name in (
            (TOTAL, ""),
            (_USER, entry.user_id),
            (_MODEL, entry.model),
            (_TEMPLATE, entry.template),
            (_TEAM, entry.team_id),
            (_KEY, entry.key_id),
            (_TENANT, tenant_id),
        ):
            _add(days, RollupKey(dimension, "", _DAY, tenant_id, day_us, name), sums)
        for tag, value in entry.tags.items():
            _add(days, RollupKey(_TAG, tag, _DAY, tenant_id, day_us, value), sums)
    found = dict(hours)
    for key, sums in hours.items():
        _add(found, key._replace(tenant_id=ALL_TENANTS), sums)
    for (dimension, tag, _, tenant_id, day_us, name), sums in days.items():
        for level, length_us in _DAYS_AND_LONGER:
            start_us = day_us - day_us % length_us
            _add(found, RollupKey(dimension, tag, level, tenant_id, start_us, name), sums)
            if dimension not in OF_ONE_TENANT:
                _add(found, RollupKey(dimension, tag, level, ALL_TENANTS, start_us, name), sums)
    return found


def _add(found: dict[RollupKey, Sums], key: RollupKey, sums: Sums) -> None:
    before = found.get(key)
    found[key] = sums if before is None else tuple(map(add, before, sums))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Spans of one length, from *start_us* on and before *end_us*; None: without a bound."""

    span: Span
    start_us: int | None
    end_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What together is a range of time: whole spans, and edges that only entries can tell."""

    stretches: tuple[Stretch, ...]
    edges: tuple[tuple[int, int], ...] = field(default=())


def cover(start_us: int | None, end_us: int | None, *, smallest: Span, largest: Span) -> Cover:
    """
    Return the fewest spans that make up a range, from *smallest* to *largest* ones.

    What is left at its ends is less than one of the smallest.
    """
    unit = smallest.microseconds
    low = None if start_us is None else -(-start_us // unit) * unit
    high = None if end_us is None else end_us // unit * unit
    if low is not None and high is not None and low >= high:
        whole = (start_us or 0, end_us or 0)
        return Cover(stretches=(), edges=(whole,) if whole[0] < whole[1] else ())
    edges = []
    if start_us is not None and low is not None and start_us < low:
        edges.append((start_us, low))
    if end_us is not None and high is not None and high < end_us:
        edges.append((high, end_us))
    stretches = []
    for span in Span:
        if not smallest <= span <= largest:
            continue
        is_last = span is largest
        if not is_last:
            longer = Span(span + 1).microseconds
            inner_low = None if low is None else -(-low // longer) * longer
            inner_high = None if high is None else high // longer * longer
            is_last = inner_low is not None and inner_high is not None and inner_low >= inner_high
        if is_last:
            stretches.append(Stretch(span=span, start_us=low, end_us=high))
            break
        if low is not None and inner_low is not None and low < inner_low:
            stretches.append(Stretch(span=span, start_us=low, end_us=inner_low))
        if high is not None and inner_high is not None and inner_high < high:
            stretches.append(Stretch(span=span, start_us=inner_high, end_us=high))
        low, high = inner_low, inner_high
    return Cover(stretches=tuple(stretches), edges=tuple(edges))
