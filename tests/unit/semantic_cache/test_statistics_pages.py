import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.kit.errors import InvalidArgument
from parley_services.semantic_cache.statistics import Counts
from parley_services.semantic_cache.statistics_pages import page_of

KEYS = st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), unique=True, max_size=12)


def totals(keys):
    return {key: Counts(misses=1) for key in sorted(keys)}


@given(keys=KEYS, size=st.integers(1, 5))
def test_pages_hold_every_key_once_in_order(keys, size):
    whole, seen, token = totals(keys), [], ""
    while True:
        page = page_of(whole, size=size, token=token)
        seen += page.counts
        token = page.next_token
        if not token:
            break
    assert seen == list(whole)


def test_a_key_that_appears_between_two_calls_repeats_no_other():
    first = page_of(totals([("a", "x"), ("b", "x"), ("c", "x")]), size=2, token="")
    later = totals([("a", "w"), ("a", "x"), ("b", "x"), ("c", "x")])
    assert list(page_of(later, size=2, token=first.next_token).counts) == [("c", "x")]


@pytest.mark.parametrize("token", ["x", "!", "W10=", "WzEsMl0=", "bnVsbA=="])
def test_a_foreign_token_is_refused(token):
    with pytest.raises(InvalidArgument) as caught:
        page_of(totals([("a", "x")]), size=1, token=token)
    assert [each.field for each in caught.value.violations] == ["page_token"]
