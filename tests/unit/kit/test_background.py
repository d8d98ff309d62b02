import asyncio

import pytest
from parley_services.kit.background import Backoff, every, running
from parley_services.kit.errors import Overloaded
from structlog.testing import capture_logs

STEADY = Backoff(first_seconds=1.0, max_seconds=4.0, draw=lambda: 1.0)


class Naps:
    """A `sleep` that returns at once, notes the pauses, and blocks after *count* of them."""

    def __init__(self, count):
        self.pauses = []
        self.done = asyncio.Event()
        self._count = count

    async def __call__(self, seconds):
        if len(self.pauses) == self._count:
            self.done.set()
            await asyncio.Event().wait()
        self.pauses.append(seconds)
        await asyncio.sleep(0)


class Work:
    """Fails or succeeds by a script, then succeeds."""

    def __init__(self, *script):
        self.script = list(script)
        self.run_count = 0

    async def __call__(self):
        self.run_count += 1
        if self.script and (error := self.script.pop(0)) is not None:
            raise error


class Reports:
    def __init__(self):
        self.heard = []

    async def __call__(self, succeeds):
        self.heard.append(succeeds)


async def test_an_action_that_raises_is_logged_and_run_again():
    work, naps = Work(ValueError("lost"), None), Naps(3)
    with capture_logs() as lines:
        async with every(2.0, work, name="tidy", backoff=STEADY, sleep=naps):
            await naps.done.wait()
    assert work.run_count == 3
    failed = next(line for line in lines if line["event"] == "background_failed")
    assert failed["work"] == "tidy"
    assert isinstance(failed["exc_info"], ValueError)
    assert [line["event"] for line in lines] == ["background_failed", "background_recovered"]


async def test_pauses_grow_with_failures_and_return_to_normal():
    work = Work(*[OSError()] * 4)
    naps = Naps(7)
    async with every(1.5, work, name="tidy", backoff=STEADY, sleep=naps):
        await naps.done.wait()
    assert naps.pauses == [1.5, 1.0, 2.0, 4.0, 4.0, 1.5, 1.5]


async def test_a_first_run_may_come_at_once():
    work, naps = Work(), Naps(1)
    async with every(9.0, work, name="tidy", at_once=True, sleep=naps):
        await naps.done.wait()
    assert (work.run_count, naps.pauses) == (2, [9.0])


async def test_a_refusal_is_logged_by_its_reason():
    work, naps = Work(Overloaded("Full: try again later.")), Naps(2)
    with capture_logs() as lines:
        async with every(1.0, work, name="tidy", sleep=naps):
            await naps.done.wait()
    assert lines[0]["reason"] == "ERROR_REASON_OVERLOADED"
    assert "exc_info" not in lines[0]


async def test_health_hears_only_of_changes():
    reports, naps = Reports(), Naps(7)
    work = Work(None, OSError(), OSError(), None, None, OSError())
    async with every(1.0, work, name="tidy", report=reports, sleep=naps):
        await naps.done.wait()
    assert reports.heard == [False, True, False, True]


async def test_health_hears_after_as_many_failures_as_were_asked_for():
    reports, naps = Reports(), Naps(5)
    work = Work(OSError(), OSError(), None, OSError())
    async with every(1.0, work, name="tidy", report=reports, report_after=2, sleep=naps):
        await naps.done.wait()
    assert reports.heard == [False, True]


async def test_a_report_that_fails_does_not_end_the_work():
    async def report(succeeds):
        raise RuntimeError("no health")

    work, naps = Work(OSError(), OSError()), Naps(4)
    async with every(1.0, work, name="tidy", report=report, sleep=naps):
        await naps.done.wait()
    assert work.run_count == 4


async def test_leaving_cancels_a_run_and_waits_for_its_end():
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async with every(1.0, work, name="tidy", at_once=True):
        await asyncio.sleep(0.01)
    assert ended == [True]


async def test_an_error_inside_the_context_passes():
    with pytest.raises(KeyError):
        async with every(1.0, Work(), name="tidy"):
            raise KeyError("x")


async def test_work_that_ends_is_started_again():
    work, naps = Work(OSError(), OSError(), None, OSError()), Naps(4)
    async with running(work, name="watch", backoff=STEADY, sleep=naps):
        await naps.done.wait()
    assert work.run_count == 5
    assert naps.pauses == [1.0, 2.0, 2.0, 4.0]


async def test_work_that_says_that_it_is_well_is_paused_for_as_the_first_time():
    naps, reports = Naps(4), Reports()

    async def work():
        if len(naps.pauses) == 2:
            await well()
        raise OSError

    async with running(work, name="watch", report=reports, backoff=STEADY, sleep=naps) as well:
        await naps.done.wait()
    assert naps.pauses == [1.0, 2.0, 1.0, 2.0]
    assert reports.heard == [False, True, False]


def test_pauses_are_drawn_between_half_and_all_of_the_longest():
    low = Backoff(first_seconds=1.0, max_seconds=8.0, draw=lambda: 0.0)
    assert [low.seconds(count) for count in (1, 2, 3, 4, 5, 10_000)] == [0.5, 1, 2, 4, 4, 4]
    assert STEADY.seconds(10_000) == 4.0
