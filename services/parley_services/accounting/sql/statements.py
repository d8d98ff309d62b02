"""
Statements as text, for the steps that run with every turn.

SQLAlchemy spends several times what a short statement costs on building it and on turning
its rows around. Steps run a handful of statements that never change, so they are written
out, once for both databases, and handed to the driver.
"""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, cast

import orjson
from sqlalchemy import Connection, Table

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as each database spells it."""

    sqlite: str
    postgresql: str

    @classmethod
    def of(cls, template: str) -> "Statement":
        """
        Return the statement that *template* stands for.

        `?` is a parameter; `IN (*)` takes a list of texts as one parameter, so that lists of
        all lengths share a prepared statement.
        """
        numbers = count(1)
        return cls(
            sqlite=template.replace("IN (*)", "IN (SELECT value FROM json_each(?))"),
            postgresql=re.sub(
                r"\?", lambda _: f"${next(numbers)}", template.replace("IN (*)", "= ANY(?)")
            ),
        )


def select_in(table: Table, column: str) -> Statement:
    """Return the statement that reads the rows of *table* whose *column* is in a list."""
    return Statement.of(f"SELECT {_names(table)} FROM {table.name} WHERE {column} IN (*)")


def insert_into(table: Table) -> Statement:
    """Return the statement that adds a row, all columns in their order."""
    places = ", ".join("?" for _ in table.columns)
    return Statement.of(f"INSERT INTO {table.name} ({_names(table)}) VALUES ({places})")


def upsert_into(table: Table) -> Statement:
    """Return the statement that adds a row, or replaces the one with the same primary key."""
    identity = [column.name for column in table.primary_key]
    changed = ", ".join(
        f"{column.name} = excluded.{column.name}"
        for column in table.columns
        if column.name not in identity
    )
    inserted = insert_into(table).sqlite
    return Statement.of(f"{inserted} ON CONFLICT ({', '.join(identity)}) DO UPDATE SET {changed}")


def _names(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


class Driver(Protocol):
    """Runs statements inside the transaction of a unit."""

    def one(self, statement: Statement) -> Row:
        """Return the only row."""
        ...

    def rows_in(self, statement: Statement, values: Sequence[str]) -> Sequence[Row]:
        """Return the rows of a statement that takes a list."""
        ...

    def write(self, statement: Statement, rows: Sequence[Row]) -> None:
        """Run *statement* for each of *rows*."""
        ...


def driver_of(connection: Connection) -> Driver:
    """Return what runs statements on *connection*, in the transaction that it is in."""
    if connection.dialect.name == "sqlite":
        return _SqliteDriver(connection)
    return _PostgresqlDriver(connection)


class _SqliteDriver:
    def __init__(self, connection: Connection) -> None:
        self._driver = cast(sqlite3.Connection, connection.connection.driver_connection)

    def one(self, statement: Statement) -> Row:
        (row,) = self._driver.execute(statement.sqlite).fetchall()
        return cast(Row, row)

    def rows_in(self, statement: Statement, values: Sequence[str]) -> Sequence[Row]:
        listed = orjson.dumps(list(values)).decode()
        return self._driver.execute(statement.sqlite, (listed,)).fetchall()

    def write(self, statement: Statement, rows: Sequence[Row]) -> None:
        self._driver.executemany(statement.sqlite, rows)


class _PostgresqlDriver:
    """Goes through SQLAlchemy's adapter, which begins the transaction and names errors."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def one(self, statement: Statement) -> Row:
        return tuple(self._connection.exec_driver_sql(statement.postgresql).one())

    def rows_in(self, statement: Statement, values: Sequence[str]) -> Sequence[Row]:
        found = self._connection.exec_driver_sql(statement.postgresql, (list(values),))
        return [tuple(row) for row in found]

    def write(self, statement: Statement, rows: Sequence[Row]) -> None:
        self._connection.exec_driver_sql(statement.postgresql, list(rows))
