"""
The ledger is what the provider produced, whichever process is killed, at whatever step.

The provider is outside of all that is killed and counts each word before it sends it. What
must hold afterwards, whoever died:

* Each call that reached the provider has one entry, never two, and there are no others.
* What the provider said about its usage, and a process heard, is booked exactly. A call that
  was cut, or that died with its router, is booked by our own count, marked estimated.
* No estimate of a reservation that expired is left.

One thing nobody can know: whether a router that was killed right after it had noted a call had
made it. Such a call is booked by its input, marked estimated.
"""

import os

import pytest

from tests.support.kills import judge, run

SLOW = bool(os.environ.get("PARLEY_SLOW_TESTS"))
KILLS = {"apart": 120 if SLOW else 4, "one_process": 80 if SLOW else 1}
"""200 in the slow suite."""


@pytest.mark.parametrize("placement", list(KILLS))
async def test_the_ledger_is_what_the_provider_produced(placement, tmp_path):
    """The default suite kills a few times; PARLEY_SLOW_TESTS=1 kills 200 times."""
    outcome = await run(tmp_path, apart=placement == "apart", kills=KILLS[placement])
    found = judge(outcome.calls, outcome.entries)
    assert found["exact"] > 0
    assert outcome.faults == []
    assert outcome.summed == sum(entry.cost_nano_usd for entry in outcome.entries)
