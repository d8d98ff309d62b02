"""
What a process has under way, in a file that outlives it.

A record is with the operating system when the call that wrote it returns, so `kill -9` loses
none. It reaches the disk within about `SYNC_SECONDS`, from a thread: a machine that loses its
power may lose the last second. That is what a write of 20 µs on the event loop costs; waiting
for the disk each time would cost ten times the CPU and some milliseconds
(https://www.sqlite.org/pragma.html#pragma_synchronous, NORMAL in WAL mode).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from parley_services.kit.background import every
from parley_services.kit.storage.database.sqlite import translated

log = structlog.get_logger()

SYNC_SECONDS: Final = 1.0
"""How long a record may be on its way to the disk."""

_BUSY_TIMEOUT_SECONDS: Final = 1.0
_REMOVED_TOGETHER: Final = 500

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    due_time REAL NOT NULL,
    payload BLOB NOT NULL,
    refusal TEXT NOT NULL DEFAULT ''
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that is to be done with a payload."""

    id: int
    kind: str
    due_time: float
    """When it is to be done, in seconds since 1970; 0 for at once."""
    payload: bytes


class Journal:
    """
    Records in a SQLite file of this process. Its folder is made if it does not exist.

    Every method but `running` returns at once and is to be called from one thread. What
    writes raises DependencyUnavailable if the disk is full or cannot be written; the record
    is then as it was before.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._connection = _connect(path)
        self._connection.execute(_SCHEMA)
        self._changed = False

    def add(self, kind: str, payload: bytes, *, due_time: float = 0.0) -> int:
        """Write a record and return its id."""
        written = self._write(
            "INSERT INTO records (kind, due_time, payload) VALUES (?, ?, ?)",
            (kind, due_time, payload),
        )
        assert written.lastrowid is not None
        return written.lastrowid

    def replace(self, record_id: int, kind: str, payload: bytes, *, due_time: float = 0.0) -> None:
        """Let another record take the place of one."""
        self._write(
            "UPDATE records SET kind = ?, due_time = ?, payload = ? WHERE id = ?",
            (kind, due_time, payload, record_id),
        )

    def refuse(self, record_id: int, reason: str) -> None:
        """Keep a record for whoever looks into it; it is not read any more."""
        self._write("UPDATE records SET refusal = ? WHERE id = ?", (reason, record_id))

    def remove(self, record_ids: Collection[int]) -> None:
        """Remove records; ids that are not there do not matter."""
        ids = list(record_ids)
        for start in range(0, len(ids), _REMOVED_TOGETHER):
            some = ids[start : start + _REMOVED_TOGETHER]
            places = ",".join("?" * len(some))
            self._write(f"DELETE FROM records WHERE id IN ({places})", some)

    def records(self, *, due_by: float | None = None, limit: int = -1) -> list[Record]:
        """Return records that were not refused, the oldest first, all or those that are due."""
        found = self._connection.execute(
            "SELECT id, kind, due_time, payload FROM records"
            " WHERE refusal = '' AND due_time <= ? ORDER BY id LIMIT ?",
            (float("inf") if due_by is None else due_by, limit),
        )
        return [Record(id=row[0], kind=row[1], due_time=row[2], payload=row[3]) for row in found]

    def refusals(self) -> list[tuple[Record, str]]:
        """Return the records that were refused, with the reasons."""
        found = self._connection.execute(
            "SELECT id, kind, due_time, payload, refusal FROM records WHERE refusal != ''"
            " ORDER BY id"
        )
        return [
            (Record(id=row[0], kind=row[1], due_time=row[2], payload=row[3]), row[4])
            for row in found
        ]

    def __len__(self) -> int:
        """Return how many records there are, refused ones included."""
        count: int = self._connection.execute("SELECT count(*) FROM records").fetchone()[0]
        return count

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Bring records to the disk while the context lasts; close the file on leaving."""
        try:
            async with every(SYNC_SECONDS, self._sync, name="journal_sync"):
                yield
        finally:
            self._connection.close()

    async def _sync(self) -> None:
        if self._changed:
            self._changed = False
            await asyncio.to_thread(_sync, self._path)

    def _write(self, statement: str, values: Collection[object]) -> sqlite3.Cursor:
        try:
            written = self._connection.execute(statement, tuple(values))
        except sqlite3.Error as error:
            raise translated(error) from error
        self._changed = True
        return written


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    # The thread does it: a checkpoint waits for the disk.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _sync(path: Path) -> None:
    """Bring what was written to the disk, and let the log begin anew."""
    connection = _connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.Error:
        log.warning("journal_not_synced", exc_info=True)
    finally:
        connection.close()
