import asyncio
from contextlib import asynccontextmanager

import pytest
from parley_services.kit.clock import SystemClock
from parley_services.kit.errors import DependencyUnavailable, InvalidArgument, Overloaded
from parley_services.kit.storage.journal import Journal
from parley_services.orchestrator.finish import outbox as outbox_module
from parley_services.orchestrator.finish.outbox import Outbox

from tests.support.waiting import until


class Recipient:
    """Takes records; refuses as often as *failures* says; may be held up by *gate*."""

    def __init__(self, *failures, gate=None):
        self.failures = list(failures)
        self.gate = gate
        self.asked = []
        self.taken = []

    async def __call__(self, payload):
        self.asked.append(payload)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(payload)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(outbox_module, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(outbox_module, "REST_SECONDS", 0.001)
    monkeypatch.setattr(outbox_module, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(outbox_module, "_FLUSH_AT_CLOSE_SECONDS", 0.05)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.db"


@asynccontextmanager
async def running(path, recipient, *, record_limit=10, journal=None):
    journal = Journal(path) if journal is None else journal
    box = Outbox(journal, {"settle": recipient}, clock=SystemClock(), record_limit=record_limit)
    async with box.running():
        yield box


def left(path):
    return [record.payload for record in Journal(path).records()]


async def test_a_record_is_delivered_and_then_gone(path):
    recipient = Recipient()
    async with running(path, recipient) as box:
        box.put("settle", b"one")
        await until(lambda: recipient.taken)
        await until(lambda: box.count == 0)
    assert recipient.taken == [b"one"]
    assert left(path) == []


async def test_a_record_is_tried_again_while_the_peer_is_away(path):
    away = DependencyUnavailable("away")
    recipient = Recipient(away, away)
    async with running(path, recipient) as box:
        box.put("settle", b"one")
        await until(lambda: recipient.taken)
    assert len(recipient.asked) == 3


async def test_what_was_not_delivered_is_delivered_after_the_next_start(path):
    async with running(path, Recipient(gate=asyncio.Event())) as box:
        box.put("settle", b"one")
        box.put("settle", b"two")
    recipient = Recipient()
    async with running(path, recipient):
        await until(lambda: len(recipient.taken) == 2)
    assert sorted(recipient.taken) == [b"one", b"two"]
    assert left(path) == []


async def test_a_record_that_was_put_just_before_the_end_is_on_disk(path):
    async with running(path, Recipient(gate=asyncio.Event())) as box:
        await asyncio.sleep(0)
        box.put("settle", b"one")
    assert left(path) == [b"one"]


async def test_a_refused_record_is_kept_with_its_reason_and_not_tried_again(path):
    recipient = Recipient(InvalidArgument("no"))
    async with running(path, recipient) as box:
        box.put("settle", b"one")
        await until(lambda: box.count == 0)
    ((_, reason),) = Journal(path).refusals()
    assert reason == "ERROR_REASON_INVALID_ARGUMENT"
    async with running(path, recipient) as box:
        box.put("settle", b"two")
        await until(lambda: recipient.taken)
    assert recipient.taken == [b"two"]


async def test_a_full_outbox_refuses_new_turns(path):
    gate = asyncio.Event()
    async with running(path, Recipient(gate=gate), record_limit=2) as box:
        box.withdraw(box.promise("settle", b"", due_time=0))
        box.put("settle", b"one")
        box.put("settle", b"two")
        with pytest.raises(Overloaded):
            box.promise("settle", b"", due_time=0)
        gate.set()
        await until(lambda: box.count == 0)
        box.withdraw(box.promise("settle", b"", due_time=0))


class FullDisk(Journal):
    """A journal that cannot be written while *is_full*."""

    is_full = False

    def _write(self, statement, values):
        if self.is_full:
            raise DependencyUnavailable("disk full")
        return super()._write(statement, values)


async def test_a_full_disk_loses_nothing_and_refuses_new_turns(path):
    recipient, journal = Recipient(), FullDisk(path)
    async with running(path, recipient, journal=journal) as box:
        promised = box.promise("settle", b"promise", due_time=0)
        journal.is_full = True
        box.put("settle", b"one")
        box.put("settle", b"two", promise_id=promised)
        with pytest.raises(Overloaded):
            box.promise("settle", b"", due_time=0)
        await until(lambda: len(recipient.taken) == 2)
        journal.is_full = False
        box.withdraw(box.promise("settle", b"", due_time=0))
    assert recipient.taken == [b"one", b"two"]
    assert left(path) == []


async def test_a_promise_is_delivered_by_the_next_run_once_it_is_due(path):
    now = SystemClock().now().timestamp()
    async with running(path, Recipient()) as box:
        box.promise("settle", b"due", due_time=now)
        box.promise("settle", b"soon", due_time=now + 0.2)
        box.promise("settle", b"later", due_time=now + 1000)
    recipient = Recipient()
    async with running(path, recipient):
        await until(lambda: len(recipient.taken) == 2)
    assert recipient.taken == [b"due", b"soon"]
    assert left(path) == [b"later"]


async def test_a_promise_that_was_kept_is_not_delivered_as_well(path):
    recipient = Recipient()
    async with running(path, recipient) as box:
        promised = box.promise("settle", b"promise", due_time=0)
        box.put("settle", b"kept", promise_id=promised)
        await until(lambda: recipient.taken)
    async with running(path, recipient):
        pass
    assert recipient.taken == [b"kept"]
    assert left(path) == []


async def test_a_promise_that_was_withdrawn_is_gone(path):
    async with running(path, Recipient()) as box:
        box.withdraw(box.promise("settle", b"promise", due_time=0))
    assert left(path) == []
