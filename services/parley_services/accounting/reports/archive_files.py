"""The archive as files: one for each part, compressed lines of JSON."""

import asyncio
import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from parley_services.accounting.ledger.entry import ChainCheck, Entry, Fault, StreamHead
from parley_services.accounting.reports.archive import Part
from parley_services.accounting.sql import rows, schema

_COLUMNS = tuple(str(column.name) for column in schema.entries.columns)
_SUFFIX = ".jsonl.gz"


class ArchiveFolder:
    """
    A folder with a folder for each tenant, and in it a file for each part.

    A file is named by its first and last sequence, `000000000001-000000000500.jsonl.gz`. Its
    lines are the entries, all columns by name, hashes hexadecimal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def keep(self, part: Part) -> None:
        """Write *part*; return once it is on the disk. A file that is there is replaced."""
        await asyncio.to_thread(self._write, part)

    def _write(self, part: Part) -> None:
        folder = self._path / _folder_name(part.checkpoint.tenant_id)
        folder.mkdir(parents=True, exist_ok=True)
        first, last = part.entries[0].sequence, part.entries[-1].sequence
        path = folder / f"{first:012}-{last:012}{_SUFFIX}"
        lines = b"".join(_line(entry) for entry in part.entries)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            # No time of writing in it: the same part gives the same bytes.
            file.write(gzip.compress(lines, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_archive(folder: Path) -> Iterator[Entry]:
    """Yield the entries of one tenant's folder, oldest first. Raises OSError, ValueError."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            yield _entry(orjson.loads(line))


def verify_archive(folder: Path) -> tuple[StreamHead, int, tuple[Fault, ...]]:
    """
    Walk the chain of one tenant's folder from its first entry.

    Returns where it ends, how many entries there were, and what does not fit.
    """
    check = ChainCheck(folder.name)
    last = StreamHead(tenant_id=folder.name)
    for entry in read_archive(folder):
        check.feed([entry])
        last = StreamHead(
            tenant_id=entry.tenant_id, sequence=entry.sequence, row_hash=entry.row_hash
        )
    return last, check.checked_count, check.finish(last)


def _folder_name(tenant_id: str) -> str:
    """Return a name that is safe on every file system, and readable if the id is."""
    if tenant_id.isascii() and tenant_id.replace("-", "").replace("_", "").isalnum():
        return tenant_id
    return "tenant." + hashlib.sha256(tenant_id.encode()).hexdigest()[:32]


def _line(entry: Entry) -> bytes:
    values: dict[str, Any] = dict(zip(_COLUMNS, rows.entry_values(entry), strict=True))
    values["row_hash"] = entry.row_hash.hex()
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


class _Row:
    """A line with its columns as attributes, as a row of the database has them."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def _entry(values: dict[str, Any]) -> Entry:
    values["row_hash"] = bytes.fromhex(values["row_hash"])
    return rows.entry_of(_Row(values))
