"""Sums over spans: each moment of a range is covered once, and nothing is added twice."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from parley_services.accounting.reports.costs import CostGrouping
from parley_services.accounting.reports.rollups import (
    ALL_TENANTS,
    DAY_US,
    HOUR_US,
    SUMS,
    TOTAL,
    RollupKey,
    Span,
    Spent,
    cover,
    roll_up,
)

FAR = 10**18
MOMENTS = st.integers(0, 3_000 * DAY_US)


def covered(found):
    """Return the pieces of a cover in their order in time."""
    pieces = [(each.start_us, each.end_us) for each in found.stretches]
    return sorted([*pieces, *found.edges], key=lambda piece: (piece[0] or 0, piece[1] or 0))


@given(MOMENTS, MOMENTS, st.sampled_from([(Span.HOUR, Span.DAYS_512), (Span.DAY, Span.DAYS_512)]))
def test_a_range_is_covered_once_and_without_a_gap(start_us, end_us, spans):
    smallest, largest = spans
    found = cover(start_us, end_us, smallest=smallest, largest=largest)
    pieces = covered(found)
    if start_us >= end_us:
        assert pieces == []
        return
    assert (pieces[0][0], pieces[-1][1]) == (start_us, end_us)
    for (_, end), (start, _) in itertools.pairwise(pieces):
        assert end == start
    for each in found.stretches:
        assert each.start_us % each.span.microseconds == each.end_us % each.span.microseconds == 0
    assert all(end - start < 2 * smallest.microseconds for start, end in found.edges)
    spans_read = sum(
        (each.end_us - each.start_us) // each.span.microseconds
        for each in found.stretches
        if each.span not in (Span.HOUR, Span.DAYS_512)
    )
    assert spans_read <= 3 * 14


@given(MOMENTS)
def test_a_range_without_a_beginning_or_an_end_is_covered_from_one_side(moment):
    before = cover(None, moment, smallest=Span.DAY, largest=Span.DAYS_512)
    after = cover(moment, None, smallest=Span.DAY, largest=Span.DAYS_512)
    pieces = [
        (-1 if start is None else start, FAR if end is None else end)
        for found in (before, after)
        for start, end in covered(found)
    ]
    pieces.sort()
    assert (pieces[0][0], pieces[-1][1]) == (-1, FAR)
    for (_, end), (start, _) in itertools.pairwise(pieces):
        assert end == start


def test_all_of_time_is_the_longest_spans():
    found = cover(None, None, smallest=Span.DAY, largest=Span.DAYS_512)
    assert [(each.span, each.start_us, each.end_us) for each in found.stretches] == [
        (Span.DAYS_512, None, None)
    ]
    assert found.edges == ()


def spent(user="ada", *, end_time_us=0, tags=None, cost=1):
    return Spent(
        tenant_id="acme",
        user_id=user,
        model="m",
        template="t",
        team_id="core",
        key_id="k",
        tags=tags or {},
        end_time_us=end_time_us,
        sums=tuple(cost if name == "cost_nano_usd" else 1 for name in SUMS),
    )


def cost_of(found, dimension, span, *, name="", tenant="acme", tag="", start_us=0):
    key = RollupKey(dimension, tag, span, tenant, start_us, name)
    return found[key][SUMS.index("cost_nano_usd")]


def test_an_entry_counts_for_its_tenant_and_for_all_in_each_length():
    found = roll_up([spent(cost=5, end_time_us=9 * DAY_US + HOUR_US), spent("bob", cost=7)])
    assert cost_of(found, TOTAL, Span.DAYS_512) == 12
    assert cost_of(found, TOTAL, Span.DAYS_512, tenant=ALL_TENANTS) == 12
    assert cost_of(found, CostGrouping.USER.key, Span.DAYS_64, name="bob") == 7
    assert cost_of(found, CostGrouping.USER.key, Span.DAY, name="ada", start_us=9 * DAY_US) == 5
    hour = 9 * DAY_US + HOUR_US
    assert cost_of(found, TOTAL, Span.HOUR, start_us=hour, tenant=ALL_TENANTS) == 5


def test_a_tag_counts_by_its_value():
    found = roll_up([spent(tags={"app": "help", "env": "x"}, cost=3), spent(tags={"app": "shop"})])
    assert cost_of(found, CostGrouping.TAG.key, Span.DAY, tag="app", name="help") == 3
    assert cost_of(found, CostGrouping.TAG.key, Span.DAYS_8, tag="app", name="shop") == 1
    assert cost_of(found, CostGrouping.TAG.key, Span.DAY, tag="env", name="x") == 3
