"""Where the benchmarks of the guardrails find their public data sets."""

import os
import sys
from pathlib import Path


def data_folder() -> Path:
    """Return the folder PARLEY_BENCH_DATA; without it, say so and exit."""
    folder = os.environ.get("PARLEY_BENCH_DATA")
    if not folder:
        sys.exit("Set PARLEY_BENCH_DATA to the folder that holds the data sets.")
    return Path(folder)
