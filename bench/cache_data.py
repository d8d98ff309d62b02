"""Question pairs for the cache's benches: public ones, read from files."""

import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions, whether one answer serves both, and where they come from."""

    one: str
    other: str
    same: bool
    kind: str


def data_folder() -> Path:
    """Return the folder of the public data sets. Exits with a sentence if there is none."""
    folder = os.environ.get("PARLEY_BENCH_DATA", "")
    if not folder:
        raise SystemExit("Set PARLEY_BENCH_DATA to the folder that holds qqp/pairs.jsonl.gz.")
    return Path(folder)


def question_pairs() -> list[Pair]:
    """Return the 50,000 pairs of Quora Question Pairs, in their order."""
    with gzip.open(data_folder() / "qqp" / "pairs.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return [Pair(one=row["a"], other=row["b"], same=bool(row["same"]), kind="qqp") for row in rows]
