"""Parquet files, for those who installed the extra `parquet`."""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from parley_services.kit.errors import StateForbids

Load: TypeAlias = Callable[[str], Any]
"""Imports a module by its name."""


@contextmanager
def parquet_writer(
    path: Path,
    columns: Mapping[str, str],
    *,
    instead: str,
    load: Load = importlib.import_module,
) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """
    Yield what writes rows into *path*, each call one row group. A file that is there is replaced.

    *columns* says of each what it holds: text, integer, real, boolean or time, which is in UTC
    and microseconds. Raises StateForbids without the extra; *instead* says what else will do.
    """
    try:
        arrow, parquet = load("pyarrow"), load("pyarrow.parquet")
    except ImportError:
        raise StateForbids(
            f"Parquet needs the extra `parquet`: pip install 'parley-suite[parquet]', or {instead}."
        ) from None
    types = {
        "text": arrow.string(),
        "integer": arrow.int64(),
        "real": arrow.float64(),
        "boolean": arrow.bool_(),
        "time": arrow.timestamp("us", tz="UTC"),
    }
    schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()])
    with parquet.ParquetWriter(str(path), schema) as writer:
        yield lambda rows: writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
