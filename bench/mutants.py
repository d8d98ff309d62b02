"""
Counts how many small mutations of the code the tests notice.

Takes a sample, drawn from a seed, of all mutations that cosmic-ray knows for the domain code named
in `AREAS`, applies them one after the other to a copy of the checkout, and runs the unit tests of
the area on each. Prints, by area, how many were killed, and the diff of each survivor: a survivor
is either a test that is missing or a mutation that changes nothing.

Usage: python -m bench.mutants [--sample 200] [--seed 1] [--area NAME] [--at-least 0.85]
"""

import argparse
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).parent.parent
SOURCES = "services/parley_services"
COPIED = ("services", "protos", "clients", "tests", "pyproject.toml", "README.md", "docs")
TIMEOUT_SECONDS = 120.0

DULL_OPERATORS = (
    # `X | None` in an annotation: it fails at import, which proves nothing about the tests.
    "core/ReplaceBinaryOperator_BitOr_%",
    # A decorator is `dataclass` or `property` nearly always: the same.
    "core/RemoveDecorator",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Code and the tests that should notice its mutations."""

    name: str
    code: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = (
    Area(
        name="orchestrator",
        code=(
            "orchestrator/admission",
            "orchestrator/finish",
            "orchestrator/generate",
            "orchestrator/prompt",
            "orchestrator/reuse",
            "orchestrator/turn.py",
            "orchestrator/peers",
        ),
        tests=("tests/unit/orchestrator", "tests/service/orchestrator"),
    ),
    Area(
        name="accounting/limits",
        code=("accounting/limits",),
        tests=("tests/unit/accounting", "tests/contract/accounting/test_store.py"),
    ),
    Area(
        name="model_router/attempt",
        code=("model_router/attempt",),
        tests=("tests/unit/model_router",),
    ),
    Area(
        name="semantic_cache/verify",
        code=("semantic_cache/verify",),
        tests=("tests/unit/semantic_cache",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A mutation that no test noticed."""

    path: str
    row: int
    diff: str


def main() -> None:
    """Run the sample of each area and say how it went. Exits with 1 under the bar."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sample", type=int, default=200, help="mutations over all areas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--area", choices=[area.name for area in AREAS])
    parser.add_argument("--at-least", type=float, default=0.85, help="share to be killed")
    options = parser.parse_args()
    console = Console(markup=False, highlight=False, soft_wrap=True)
    areas = [area for area in AREAS if options.area in (None, area.name)]
    killed = run = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else _copy_file)(source, copy / name)
        sessions = {area.name: _session(area, copy) for area in areas}
        sizes = {name: _count(session) for name, session in sessions.items()}
        for area in areas:
            share = max(1, round(options.sample * sizes[area.name] / sum(sizes.values())))
            _draw(sessions[area.name], share, seed=options.seed)
            _cosmic_ray("exec", _config(area, copy), sessions[area.name], copy=copy)
            of_area, survivors = _results(sessions[area.name], copy)
            console.print(f"{area.name}: {of_area - len(survivors)} of {of_area} killed")
            for each in survivors:
                console.print(f"\n{each.path}:{each.row}\n{each.diff}")
            run += of_area
            killed += of_area - len(survivors)
    console.print(
        f"\n{killed} of {run} mutants killed, {killed / run:.0%}; the bar is {options.at_least:.0%}"
    )
    sys.exit(killed / run < options.at_least)


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _session(area: Area, copy: Path) -> Path:
    """Find the mutations of *area* and return the session file that lists them."""
    session = _config(area, copy).with_suffix(".sqlite")
    modules = ", ".join(f'"{copy / SOURCES / each}"' for each in area.code)
    tests = " ".join(area.tests)
    _config(area, copy).write_text(
        f"""
        [cosmic-ray]
        module-path = [{modules}]
        timeout = {TIMEOUT_SECONDS}
        excluded-modules = []
        test-command = "{sys.executable} -m pytest -q -x -p no:cacheprovider {tests}"
        [cosmic-ray.distributor]
        name = "local"
        """
    )
    _cosmic_ray("init", _config(area, copy), session, copy=copy)
    with sqlite3.connect(session) as database:
        for pattern in DULL_OPERATORS:
            database.execute("DELETE FROM mutation_specs WHERE operator_name LIKE ?", (pattern,))
        _delete_orphans(database)
    return session


def _config(area: Area, copy: Path) -> Path:
    return copy.parent / (area.name.replace("/", "-") + ".toml")


def _count(session: Path) -> int:
    with sqlite3.connect(session) as database:
        count: int = database.execute("SELECT count(*) FROM mutation_specs").fetchone()[0]
    return count


def _draw(session: Path, size: int, *, seed: int) -> None:
    """Leave *size* mutations in the session, the same ones for the same code and *seed*."""
    with sqlite3.connect(session) as database:
        rows = database.execute(
            "SELECT job_id FROM mutation_specs ORDER BY module_path, start_pos_row, start_pos_col,"
            " operator_name, occurrence"
        ).fetchall()
        drawn = random.Random(seed).sample(rows, min(size, len(rows)))
        database.execute("CREATE TEMP TABLE drawn (job_id)")
        database.executemany("INSERT INTO drawn VALUES (?)", drawn)
        database.execute(
            "DELETE FROM mutation_specs WHERE job_id NOT IN (SELECT job_id FROM drawn)"
        )
        _delete_orphans(database)


def _delete_orphans(database: sqlite3.Connection) -> None:
    database.execute(
        "DELETE FROM work_items WHERE job_id NOT IN (SELECT job_id FROM mutation_specs)"
    )


def _cosmic_ray(command: str, config: Path, session: Path, *, copy: Path) -> None:
    # The copy's own folders come before the checkout that is installed.
    path = os.pathsep.join(
        str(copy / each) for each in ("services", "protos/gen", "clients/python")
    )
    subprocess.run(
        [str(Path(sys.executable).parent / "cosmic-ray"), command, str(config), str(session)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )


def _results(session: Path, copy: Path) -> tuple[int, list[Survivor]]:
    """Return how many mutations were tried, and those that no test noticed."""
    with sqlite3.connect(session) as database:
        rows = database.execute(
            "SELECT module_path, start_pos_row, test_outcome, diff FROM mutation_specs"
            " JOIN work_results USING (job_id) ORDER BY module_path, start_pos_row"
        ).fetchall()
    survivors = [
        Survivor(path=str(Path(path).relative_to(copy)), row=row, diff=diff.strip())
        for path, row, outcome, diff in rows
        if outcome.lower() == "survived"
    ]
    return len(rows), survivors


if __name__ == "__main__":
    main()
