"""Whose key a call carries, and for how long that is believed."""

import pytest
from parley_services.kit.errors import KeyInvalid
from parley_services.orchestrator.admission.key_cache import WATCHED_SECONDS, KeyCache
from parley_services.orchestrator.deadline import Deadline

from tests.support.clock import ManualClock
from tests.support.turns import KEY, FakeAccounting


class Ring:
    """A key_cache over fakes, with a clock to turn."""

    def __init__(self):
        self.clock = ManualClock()
        self.accounting = FakeAccounting(max_age_seconds=2.0)
        self.key_cache = KeyCache(
            self.accounting, self.clock, timeout_seconds=1.0, stale_seconds=60.0, capacity=2
        )

    async def ask(self, secret=KEY):
        return await self.key_cache.principal(secret, Deadline(self.clock, 5.0))


@pytest.fixture
def ring():
    return Ring()


async def test_an_answer_is_believed_as_long_as_accounting_allows(ring):
    await ring.ask()
    ring.clock.advance(1.9)
    await ring.ask()
    assert ring.accounting.authenticated == 1
    ring.clock.advance(0.2)
    await ring.ask()
    assert ring.accounting.authenticated == 2


async def test_a_watched_key_is_believed_longer(ring):
    ring.key_cache.begin_watch()
    await ring.ask()
    ring.clock.advance(WATCHED_SECONDS - 0.1)
    await ring.ask()
    assert ring.accounting.authenticated == 1
    ring.clock.advance(0.2)
    await ring.ask()
    assert ring.accounting.authenticated == 2


async def test_a_lost_watch_shortens_what_is_believed(ring):
    ring.key_cache.begin_watch()
    await ring.ask()
    ring.clock.advance(3)
    ring.key_cache.end_watch()
    await ring.ask()
    assert ring.accounting.authenticated == 2


@pytest.mark.parametrize(("key_id", "asked"), [("k1", 2), ("another", 1)])
async def test_a_changed_key_is_asked_for_again(ring, key_id, asked):
    ring.key_cache.begin_watch()
    await ring.ask()
    ring.key_cache.forget(key_id)
    await ring.ask()
    assert ring.accounting.authenticated == asked


async def test_a_key_that_changes_while_it_is_asked_for_is_not_remembered(ring):
    ring.key_cache.begin_watch()
    asked = ring.accounting.authenticate

    async def revoked_meanwhile(*arguments, **named):
        principal = await asked(*arguments, **named)
        ring.key_cache.forget("k1")
        return principal

    ring.accounting.authenticate = revoked_meanwhile
    await ring.ask()
    await ring.ask()
    assert ring.accounting.authenticated == 2


async def test_a_wrong_key_is_refused_each_time(ring):
    for _ in range(2):
        with pytest.raises(KeyInvalid):
            await ring.ask("wrong")
    assert ring.accounting.authenticated == 2
