"""
A throwaway PostgreSQL cluster for tests, from the machine's own package.

On Debian: `apt-get install postgresql` (15 or newer). The cluster lives in a temporary
folder, listens on a unix socket in it and nowhere else, and leaves syncing to the kernel.
Without the package a test that needs it is skipped, and fails where `CI` is set.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

_PORT = 5432
"""Only names the socket's file; nothing listens on a network."""

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running cluster."""

    folder: Path
    """Where its data and its socket are."""

    binaries: Path
    """Where `psql` and its like are."""

    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}", database="postgres")
        return f"postgresql://parley@/{name}?host={self.folder}"

    def execute(self, statement: str, *, database: str) -> str:
        """Run *statement* by `psql` as the cluster's owner and return what it prints."""
        arguments = ["-h", str(self.folder), "-U", "parley", "-d", database, "-Atqc", statement]
        return _run(self.binaries / "psql", *arguments)

    def stop(self) -> None:
        """Stop the server at once, as a crash does."""
        _run(self.binaries / "pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
        options += f" -k {self.folder} -p {_PORT}"
        log = self.folder / "log"
        data = self.folder / "data"
        _run(self.binaries / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a new cluster; remove it at the end."""
    binaries = _binaries()
    if binaries is None:
        message = "PostgreSQL is not installed; on Debian: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    # A short path: the name of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if (owner := _owner()) is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data = folder / "data"
        _run(binaries / "initdb", "-D", data, "-U", "parley", "-A", "trust", "-E", "UTF8", "-N")
        started = Cluster(folder=folder, binaries=binaries)
        started.start()
        try:
            yield started
        finally:
            if (data / "postmaster.pid").exists():
                started.stop()


def _binaries() -> Path | None:
    """Return the newest installed version's folder of programs."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    return newest.parent if newest else None


def _owner() -> pwd.struct_passwd | None:
    """Return whom to run as: PostgreSQL refuses root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _run(program: Path, *arguments: str | Path) -> str:
    owner = _owner()
    done = subprocess.run(
        [program, *arguments],
        check=False,
        cwd="/",
        # A server that is started keeps what it inherits open, so it gets files, not pipes.
        stdin=subprocess.DEVNULL,
        stdout=(output := tempfile.TemporaryFile()),  # noqa: SIM115
        stderr=subprocess.STDOUT,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
    )
    with output:
        output.seek(0)
        text = output.read().decode()
    if done.returncode:
        raise RuntimeError(f"{program.name} failed: {text}")
    return text
