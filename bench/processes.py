"""What processes cost, from /proc."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(*roots: int) -> float:
    """Return the user and system seconds of processes *roots* and their children so far."""
    return sum(_cpu_seconds(pid) for root in roots for pid in _tree(root))


def memory_mib(*roots: int) -> float:
    """Return the resident memory of processes *roots* and their children."""
    return sum(_resident(pid) for root in roots for pid in _tree(root)) / 2**20


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(_stat(int(entry.name))[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command's name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(pid: int) -> int:
    return int(_stat(pid)[21]) * _PAGE
