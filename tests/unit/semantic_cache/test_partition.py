from dataclasses import replace

import pytest
from parley_services.semantic_cache.partition import Partition, entry_id_of, is_entry_id, normalise

from tests.support.semantic_cache import PARTITION


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a  b\t c", "a b c"),
        (" a ", "a"),
        ("line\r\nline", "line\nline"),
        ("caf\u0065\u0301", "caf\u00e9"),
    ],
)
def test_texts_of_one_meaning_have_one_form(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("x\u00b2", "x2"), ("Polish", "polish"), ("if a:\n  b", "if a:\n    b"), ("a?", "a!")],
)
def test_texts_that_may_differ_in_meaning_keep_their_form(one, other):
    assert normalise(one) != normalise(other)


def test_fields_cannot_run_into_each_other():
    one = Partition(tenant_id="a", user_id="bc")
    other = Partition(tenant_id="ab", user_id="c")
    assert one.key != other.key
    assert entry_id_of(one, "x") != entry_id_of(other, "x")


def test_an_entry_id_depends_on_partition_and_text():
    ids = {
        entry_id_of(PARTITION, "a"),
        entry_id_of(PARTITION, "b"),
        entry_id_of(replace(PARTITION, model_class="large"), "a"),
    }
    assert len(ids) == 3
    assert all(map(is_entry_id, ids))
    assert not is_entry_id("a")
