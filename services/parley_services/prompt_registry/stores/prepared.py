"""
Inserts that run for every turn, without what SQLAlchemy does for each of them anew.

On SQLite the statement is made into text once and given to the driver as it stands, which
takes a third of the time of the statement itself through SQLAlchemy. On PostgreSQL the
driver's own round trip is what counts, and SQLAlchemy runs it.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table
from sqlalchemy.sql.dml import Insert

from parley_services.kit.storage.database import insert

Row = dict[str, Any]


class PreparedInsert:
    """An insert into one table, of rows that hold every column in *names*."""

    def __init__(
        self, table: Table, names: Sequence[str], conflict: Callable[[Any], Insert]
    ) -> None:
        """*conflict* adds to the insert what becomes of a row that is there already."""
        self._table = table
        self._names = tuple(names)
        self._conflict = conflict
        self._text = ""
        self._order: tuple[str, ...] = ()

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert *rows*, or what `conflict` says."""
        if not rows:
            return
        driver = _sqlite_driver(connection)
        if driver is None:
            connection.execute(self._statement(connection), rows)
            return
        self._prepare(connection)
        driver.executemany(self._text, [self._values(row) for row in rows])

    def new(self, connection: Connection, rows: Sequence[Row], key: Sequence[str]) -> list[Row]:
        """Insert *rows*, no two of one *key*; return those that were not there before."""
        driver = _sqlite_driver(connection)
        if driver is None:
            columns = [self._table.c[name] for name in key]
            statement = self._statement(connection).returning(*columns)
            added = {tuple(row) for row in connection.execute(statement, list(rows))}
            return [row for row in rows if tuple(row[name] for name in key) in added]
        self._prepare(connection)
        return [row for row in rows if driver.execute(self._text, self._values(row)).rowcount]

    def _statement(self, connection: Connection) -> Insert:
        return self._conflict(insert(connection, self._table))

    def _prepare(self, connection: Connection) -> None:
        if not self._text:
            compiled = self._statement(connection).compile(
                dialect=connection.dialect, column_keys=list(self._names)
            )
            self._order = tuple(compiled.positiontup or ())
            self._text = str(compiled)

    def _values(self, row: Row) -> tuple[Any, ...]:
        return tuple([row[name] for name in self._order])


def _sqlite_driver(connection: Connection) -> sqlite3.Connection | None:
    if connection.dialect.name != "sqlite":
        return None
    return cast(sqlite3.Connection, connection.connection.driver_connection)
