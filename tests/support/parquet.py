"""Stands for pyarrow, which tests do without."""

from pathlib import Path
from types import SimpleNamespace


class FakeParquet:
    """What `load` of a Parquet writer imports; keeps the files that were written."""

    def __init__(self):
        self.files = []
        arrow = SimpleNamespace(
            string=lambda: "string",
            int64=lambda: "int64",
            float64=lambda: "float64",
            bool_=lambda: "bool",
            timestamp=lambda unit, tz: f"timestamp[{unit}, {tz}]",
            schema=dict,
            Table=SimpleNamespace(from_pylist=lambda rows, schema: list(rows)),
        )
        parquet = SimpleNamespace(ParquetWriter=self._open)
        self._modules = {"pyarrow": arrow, "pyarrow.parquet": parquet}

    def load(self, name):
        return self._modules[name]

    def _open(self, path, schema):
        self.files.append(FakeFile(path, schema))
        return self.files[-1]


class FakeFile:
    """Notes row groups in place of writing them."""

    def __init__(self, path, schema):
        Path(path).write_bytes(b"parquet")
        self.path, self.schema, self.tables, self.closed = path, schema, [], False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closed = True

    def write_table(self, table):
        self.tables.append(table)
