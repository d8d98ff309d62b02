"""Which folder on disk holds the answers of the embedded store, while it moves to a new one."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from parley_services.semantic_cache.store.store import StoreUnavailable

log = structlog.get_logger()


class EdgeFolders:
    """
    The folder at *base*, its successors `<base>.2`, `<base>.3`, and who is current.

    The file `<base>.current` names the current one and is replaced as a whole, so that a
    process may die at any point of a move: what is not current is removed at the next start.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._pointer = base.with_name(f"{base.name}.current")
        self.current = self._read()

    def prepare(self) -> None:
        """Make the parent folder, and remove what an unfinished move left."""
        self._base.parent.mkdir(parents=True, exist_ok=True)
        for folder in self._all():
            if folder != self.current:
                shutil.rmtree(folder, ignore_errors=True)

    def successor(self) -> Path:
        """Return the folder to move to; it does not exist yet."""
        number = max((_number(folder) for folder in self._all()), default=1)
        return self._base.with_name(f"{self._base.name}.{number + 1}")

    def move_to(self, folder: Path) -> None:
        """Make *folder* the current one, also after a power cut, and remove the former."""
        former, self.current = self.current, folder
        draft = self._pointer.with_name(f"{self._pointer.name}.draft")
        with draft.open("w") as file:
            file.write(folder.name)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._pointer)
        shutil.rmtree(former, ignore_errors=True)

    def put_aside(self) -> Path:
        """Rename the current folder, which cannot be read, and return its new name."""
        aside = self._base.with_name(f"{self._base.name}.unreadable-{time.time_ns()}")
        self.current.rename(aside)
        return aside

    def _read(self) -> Path:
        try:
            name = self._pointer.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return self._base
        folder = self._base.with_name(Path(name).name) if name else self._base
        return folder if folder == self._base or _number(folder) > 1 else self._base

    def _all(self) -> list[Path]:
        others = self._base.parent.glob(f"{self._base.name}.*")
        return [self._base, *(folder for folder in others if _number(folder) > 1)]


@contextmanager
def locked(base: Path) -> Iterator[None]:
    """Hold the folder at *base* for this process. Raises StoreUnavailable if another does."""
    base.parent.mkdir(parents=True, exist_ok=True)
    with base.with_name(f"{base.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreUnavailable(
                f"another process has {base} open; give each its own PARLEY_DATA_DIR"
            ) from error
        yield


def _number(folder: Path) -> int:
    ending = folder.name.rpartition(".")[2]
    return int(ending) if ending.isdecimal() and folder.is_dir() else 1
