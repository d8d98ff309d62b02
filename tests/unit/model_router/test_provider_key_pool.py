import pytest
from parley_services.model_router.attempt.failures import FailureKind
from parley_services.model_router.route.provider_key_pool import (
    KeyHealth,
    KeyPolicy,
    ProviderKeyPool,
)

from tests.support.clock import ManualClock

POLICY = KeyPolicy(first_rest_seconds=30, proven_rest_seconds=1, max_rest_seconds=600)
REFUSED = FailureKind.KEY_REFUSED


@pytest.fixture
def clock():
    return ManualClock()


def pool(clock, *keys):
    return ProviderKeyPool("p", keys, clock=clock, policy=POLICY)


def use(made, end):
    """Make one call and end it by *end*; return the key, None if all rest."""
    key = made.pick()
    if key is not None:
        made.begin(key)
        end(key)
    return key


def test_keys_take_turns(clock):
    made = pool(clock, "a", "b", "c")
    assert [use(made, made.accepted) for _ in range(4)] == ["a", "b", "c", "a"]


def test_a_key_that_never_worked_rests_at_once_and_ever_longer(clock):
    made = pool(clock, "a")
    rests = []
    for _ in range(8):
        assert use(made, lambda key: made.refused(key, REFUSED)) == "a"
        assert made.pick() is None
        rests.append(made.retry_after_seconds)
        clock.advance(made.retry_after_seconds)
    assert rests == [30, 60, 120, 240, 480, 600, 600, 600]


def test_a_key_that_worked_is_not_believed_dead_at_once(clock):
    made = pool(clock, "a")
    use(made, made.accepted)
    rests = []
    for _ in range(4):
        assert use(made, lambda key: made.refused(key, REFUSED)) == "a"
        rests.append(made.retry_after_seconds)
        clock.advance(made.retry_after_seconds)
    assert rests == [0, 1, 2, 4]


def test_after_its_rest_one_call_probes_and_the_others_do_without(clock):
    made = pool(clock, "a", "b")
    use(made, lambda key: made.refused(key, REFUSED))
    clock.advance(30)
    made.begin("a")
    assert [made.pick() for _ in range(3)] == ["b", "b", "b"]
    made.released("a")
    assert "a" in [made.pick(), made.pick()]


def test_a_probe_that_succeeds_brings_the_key_back(clock):
    made = pool(clock, "a")
    use(made, lambda key: made.refused(key, REFUSED))
    clock.advance(30)
    assert use(made, made.accepted) == "a"
    assert made.health() == [KeyHealth(ending="")]
    use(made, lambda key: made.refused(key, REFUSED))
    assert made.pick() == "a"


def test_an_empty_account_rests_also_when_the_key_has_worked(clock):
    made = pool(clock, "a")
    use(made, made.accepted)
    use(made, lambda key: made.refused(key, FailureKind.QUOTA_EXHAUSTED))
    assert made.retry_after_seconds == 30


def test_health_names_a_key_by_its_end_only(clock):
    made = pool(clock, "sk-0123456789abcdef", "short", "")
    use(made, lambda key: made.refused(key, REFUSED))
    clock.advance(10)
    assert made.health() == [
        KeyHealth(ending="cdef", rest_reason="key_refused", retry_after_seconds=20),
        KeyHealth(ending=""),
        KeyHealth(ending=""),
    ]
