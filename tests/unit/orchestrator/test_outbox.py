import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import services.orchestrator
from services.kit.database import open_database
from services.kit.errors import DependencyUnavailable, InvalidArgument, Overloaded
from services.orchestrator import outbox as outbox_module
from services.orchestrator.outbox import Outbox
from tests.support.waiting import until

MIGRATIONS = Path(services.orchestrator.__file__).parent / "migrations"


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
def url(tmp_path):
    return f"sqlite:///{tmp_path}/outbox.db"


@asynccontextmanager
async def running(url, recipient, *, record_limit=10):
    async with open_database(url, service="orchestrator", migrations=MIGRATIONS) as database:
        box = Outbox(database, {"settle": recipient}, record_limit=record_limit)
        async with box.running():
            yield box


async def rows(url):
    async with open_database(url) as database:
        return await database.read(
            lambda c: c.execute(outbox_module.records.select()).mappings().all()
        )


async def test_a_record_is_delivered_and_then_gone(url):
    recipient = Recipient()
    async with running(url, recipient) as box:
        box.put("settle", b"one")
        await until(lambda: recipient.taken)
        await until(lambda: box.count == 0)
    assert recipient.taken == [b"one"]
    assert await rows(url) == []


async def test_a_record_is_tried_again_while_the_peer_is_away(url):
    away = DependencyUnavailable("away")
    recipient = Recipient(away, away)
    async with running(url, recipient) as box:
        box.put("settle", b"one")
        await until(lambda: recipient.taken)
    assert len(recipient.asked) == 3


async def test_what_was_not_delivered_is_delivered_after_the_next_start(url):
    async with running(url, Recipient(gate=asyncio.Event())) as box:
        box.put("settle", b"one")
        box.put("settle", b"two")
    recipient = Recipient()
    async with running(url, recipient):
        await until(lambda: len(recipient.taken) == 2)
    assert sorted(recipient.taken) == [b"one", b"two"]
    assert await rows(url) == []


async def test_a_record_that_was_put_just_before_the_end_is_on_disk(url):
    async with running(url, Recipient(gate=asyncio.Event())) as box:
        await asyncio.sleep(0)
        box.put("settle", b"one")
    assert [row["payload"] for row in await rows(url)] == [b"one"]


async def test_a_refused_record_is_kept_with_its_reason_and_not_tried_again(url):
    recipient = Recipient(InvalidArgument("no"))
    async with running(url, recipient) as box:
        box.put("settle", b"one")
        await until(lambda: box.count == 0)
    (row,) = await rows(url)
    assert row["refusal"] == "ERROR_REASON_INVALID_ARGUMENT"
    async with running(url, recipient) as box:
        box.put("settle", b"two")
        await until(lambda: recipient.taken)
    assert recipient.taken == [b"two"]


async def test_a_full_outbox_refuses_new_turns(url):
    gate = asyncio.Event()
    async with running(url, Recipient(gate=gate), record_limit=2) as box:
        box.check_room()
        box.put("settle", b"one")
        box.put("settle", b"two")
        with pytest.raises(Overloaded):
            box.check_room()
        gate.set()
        await until(lambda: box.count == 0)
        box.check_room()


class FailingDatabase:
    """Fails the next *failures* writes, then does as *database*."""

    def __init__(self, database, failures):
        self.database = database
        self.failures = failures

    async def read(self, unit):
        return await self.database.read(unit)

    async def write(self, unit):
        if self.failures:
            self.failures -= 1
            raise DependencyUnavailable("disk full")
        return await self.database.write(unit)


async def test_a_full_disk_loses_nothing_and_refuses_new_turns(url):
    recipient = Recipient()
    async with open_database(url, service="orchestrator", migrations=MIGRATIONS) as database:
        failing = FailingDatabase(database, 3)
        box = Outbox(failing, {"settle": recipient}, record_limit=10)
        async with box.running():
            box.put("settle", b"one")
            await until(lambda: failing.failures < 3)
            with pytest.raises(Overloaded):
                box.check_room()
            await until(lambda: recipient.taken)
            box.check_room()
    assert recipient.taken == [b"one"]
