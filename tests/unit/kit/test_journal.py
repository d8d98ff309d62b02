import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from parley_services.kit.errors import DependencyUnavailable
from parley_services.kit.storage import journal as journal_module
from parley_services.kit.storage.journal import Journal, Record

from tests.support.waiting import until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "journal.db"


def payloads(records):
    return [record.payload for record in records]


def test_a_record_is_read_as_it_was_written(path):
    journal = Journal(path)
    number = journal.add("settle", b"one", due_time=12.5)
    assert journal.records() == [Record(id=number, kind="settle", due_time=12.5, payload=b"one")]


def test_records_are_in_the_order_in_which_they_were_added(path):
    journal = Journal(path)
    for payload in (b"one", b"two", b"three"):
        journal.add("settle", payload)
    assert payloads(journal.records()) == [b"one", b"two", b"three"]
    assert payloads(journal.records(limit=2)) == [b"one", b"two"]


def test_only_what_is_due_is_read_when_asked_for(path):
    journal = Journal(path)
    journal.add("settle", b"late", due_time=20)
    journal.add("settle", b"early", due_time=10)
    assert payloads(journal.records(due_by=10)) == [b"early"]


def test_a_record_takes_the_place_of_another(path):
    journal = Journal(path)
    number = journal.add("release", b"one", due_time=10)
    journal.replace(number, "settle", b"two")
    assert journal.records() == [Record(id=number, kind="settle", due_time=0, payload=b"two")]


def test_removed_records_are_gone_and_their_ids_are_not_used_again(path):
    journal = Journal(path)
    numbers = [journal.add("settle", b"") for _ in range(1200)]
    journal.remove(numbers)
    assert len(journal) == 0
    assert journal.add("settle", b"") not in numbers


def test_a_refused_record_is_kept_with_its_reason_and_not_read(path):
    journal = Journal(path)
    number = journal.add("settle", b"one")
    journal.refuse(number, "INVALID_ARGUMENT")
    assert journal.records() == []
    ((record, reason),) = journal.refusals()
    assert (record.id, reason) == (number, "INVALID_ARGUMENT")


def test_a_full_disk_is_a_typed_refusal_and_changes_nothing(path):
    journal = Journal(path)
    number = journal.add("settle", b"one")
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DependencyUnavailable):
        journal.add("settle", bytes(100_000))
    with pytest.raises(DependencyUnavailable):
        journal.replace(number, "settle", bytes(100_000))
    assert payloads(journal.records()) == [b"one"]


async def test_records_are_brought_to_the_disk_and_the_log_begins_anew(path, monkeypatch):
    monkeypatch.setattr(journal_module, "SYNC_SECONDS", 0.001)
    journal = Journal(path)

    def on_disk():
        # Another reader of the file without its log.
        connection = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
        try:
            return connection.execute("SELECT count(*) FROM records").fetchone()[0]
        except sqlite3.DatabaseError:
            return 0
        finally:
            connection.close()

    async with journal.running():
        journal.add("settle", b"one")
        await until(lambda: on_disk() == 1)


def test_a_record_outlives_the_kill_of_its_process(path):
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from parley_services.kit.storage.journal import Journal\n"
        "Journal(Path(sys.argv[1])).add('settle', b'one')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], env={**os.environ, "PYTHONPATH": "."}
    )
    assert done.returncode == -signal.SIGKILL
    assert payloads(Journal(path).records()) == [b"one"]
