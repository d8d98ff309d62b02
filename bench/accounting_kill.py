"""
What is booked when processes are killed under load, against what the provider produced.

    python -m bench.accounting_kill [--apart 120] [--one-process 80]

Runs the suite in six processes and in one, against a provider that outlives both and counts
what it sends. Kills one process, or all, at random moments so many times, and prints what
became of each call. Takes about eight seconds a kill. Ends with an error if anything was
booked twice or is missing; `tests/suite/test_kill.py` says what must hold.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from parley_services.kit.log import configure
from rich.console import Console
from rich.table import Table

from tests.support.kills import judge, run


def main() -> None:
    """Print a table for each placement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apart", type=int, default=120)
    parser.add_argument("--one-process", type=int, default=80)
    arguments = parser.parse_args()
    configure("error")
    for name, apart, kills in (
        ("six processes", True, arguments.apart),
        ("one process", False, arguments.one_process),
    ):
        if not kills:
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = asyncio.run(run(Path(folder), apart=apart, kills=kills))
        found = judge(outcome.calls, outcome.entries)
        table = Table(name, "count")
        for target, count in sorted(outcome.killed.items()):
            table.add_row(f"kill -9 of {target}", f"{count:,}")
        table.add_section()
        for what, count in found.items():
            table.add_row(what, f"{count:,}")
        table.add_row("rows or balances that do not fit", str(len(outcome.faults)))
        Console().print(table)
        if outcome.faults:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
