"""
The ledger is what the provider produced, whichever process is killed, at whatever step.

The provider is outside of all that is killed and counts each word before it sends it. What
must hold afterwards, for each turn that reached it:

* The turn's orchestrator lived: each of its calls has one entry, and what the provider said
  about its usage is booked exactly. A call that was cut, or whose router died, is booked by
  our own count, marked estimated.
* The orchestrator died: the turn's reservation expired and is booked once, at its estimate.
* Never both, never twice, and nothing else is booked.

Around a router that is killed two kinds of calls are open, since nobody is left to tell: one
that it had just begun, of which the orchestrator had not heard, is lost; one that it had
announced and not yet made is booked by its input, marked estimated.
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
