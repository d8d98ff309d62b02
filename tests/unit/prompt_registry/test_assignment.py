"""
Arms by hash. The vectors are those of GrowthBook's SDK specification, in the file
`cases.json` that its SDKs share (`hash`, `getBucketRange`, `chooseVariation`, `inNamespace`).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.prompt_registry.experiments.assignment import (
    AssignmentKeys,
    assign,
    bucket_of,
    bucket_ranges,
    choose_range,
    fnv1a32,
    is_in_namespace,
)
from parley_services.prompt_registry.experiments.experiment import (
    Arm,
    AssignmentUnit,
    ExperimentMode,
    RampStep,
)

from tests.support.prompts import experiment


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)],
    ids=["empty", "a", "foobar"],
)
def test_fnv_vectors_of_its_draft(text, expected):
    assert fnv1a32(text) == expected


@pytest.mark.parametrize(("value", "expected"), [("a", 0.0505), ("b", 0.2696)])
def test_hash_version_2(value, expected):
    assert bucket_of("seed", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", 0.22),
        ("b", 0.077),
        ("ab", 0.946),
        ("def", 0.652),
        ("8952klfjas09ujkasdf", 0.549),
        ("123", 0.011),
        ('___)((*":&', 0.563),
    ],
)
def test_hash_version_1_is_the_same_fnv(value, expected):
    assert fnv1a32(value) % 1000 / 1000 == expected


@pytest.mark.parametrize(
    ("weights", "coverage", "expected"),
    [
        ([0.5, 0.5], 1, [(0, 0.5), (0.5, 1)]),
        ([0.5, 0.5], 0.5, [(0, 0.25), (0.5, 0.75)]),
        ([0.5, 0.5], 0, [(0, 0), (0.5, 0.5)]),
        ([0.25] * 4, 1, [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]),
        ([0.4, 0.6], 1, [(0, 0.4), (0.4, 1)]),
    ],
)
def test_bucket_ranges(weights, coverage, expected):
    assert bucket_ranges(weights, coverage) == expected


@pytest.mark.parametrize(
    ("bucket", "ranges", "expected"),
    [
        (0.2, [(0, 0.5), (0.5, 1)], 0),
        (0.5, [(0, 0.5), (0.5, 1)], 1),
        (0.25, [(0, 0.25), (0.5, 0.75)], None),
        (0.8, [(0, 0.25), (0.5, 0.75)], None),
        (0.5, [(0, 0.5), (0.5, 0.5), (0.5, 1)], 2),
    ],
)
def test_choose_range(bucket, ranges, expected):
    assert choose_range(bucket, ranges) == expected


@pytest.mark.parametrize("user", ["1", "2"])
@pytest.mark.parametrize("namespace", ["namespace1"])
def test_namespace(user, namespace):
    assert not is_in_namespace(namespace, 0, 0.4, user)
    assert is_in_namespace(namespace, 0.4, 1, user)


@given(st.text(min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_raising_coverage_moves_nobody(user, one, other):
    low, high = sorted((one, other))
    before = assign(experiment(coverage=low), AssignmentKeys(user_id=user))
    after = assign(experiment(coverage=high), AssignmentKeys(user_id=user))
    assert before is None or before == after


def test_shares_are_as_weighted():
    tenth = experiment(share=0.1)
    arms = [assign(tenth, AssignmentKeys(user_id=f"user-{n}")) for n in range(10_000)]
    share = sum(arm.name == "treatment" for arm in arms) / len(arms)
    # Three standard deviations of a share of 0.1 in 10,000.
    assert abs(share - 0.1) < 0.009


def test_an_unknown_user_is_told_apart_by_the_conversation():
    split = experiment()
    by_conversation = {
        assign(split, AssignmentKeys(conversation_id=str(n))).name for n in range(50)
    }
    assert by_conversation == {"control", "treatment"}
    assert assign(split, AssignmentKeys(tenant_id="acme")) is None


def test_a_unit_is_hashed_alone():
    split = experiment(assignment_unit=AssignmentUnit.TENANT)
    arms = {assign(split, AssignmentKeys(tenant_id="acme", user_id=str(n))).name for n in range(50)}
    assert len(arms) == 1


def test_a_ramp_gives_everybody_else_the_control():
    ramp = experiment(
        mode=ExperimentMode.RAMP, coverage=0.25, ramp_steps=(RampStep(coverage=0.25),)
    )
    arms = [assign(ramp, AssignmentKeys(user_id=str(n))).name for n in range(2_000)]
    assert 0.2 < arms.count("treatment") / len(arms) < 0.3
    assert arms.count("control") + arms.count("treatment") == len(arms)


def test_experiments_of_one_namespace_exclude_each_other():
    one = experiment("one", namespace="n", namespace_start=0, namespace_end=0.5)
    two = experiment("two", namespace="n", namespace_start=0.5, namespace_end=1)
    for n in range(500):
        keys = AssignmentKeys(user_id=str(n))
        assert (assign(one, keys) is None) != (assign(two, keys) is None)


def test_a_seed_shared_by_experiments_gives_the_same_split():
    keys = [AssignmentKeys(user_id=str(n)) for n in range(100)]
    one = [assign(experiment("one", seed="s"), each) for each in keys]
    two = [assign(experiment("two", seed="s"), each) for each in keys]
    assert one == two
    assert Arm(name="control", version=1, weight=0.5) in one
