import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from parley_services.kit.errors import DependencyUnavailable, Overloaded
from parley_services.kit.storage.database import current, downgrade, insert, open_database, upgrade
from parley_services.kit.storage.database.sqlite import SqliteDatabase
from sqlalchemy import Column, Connection, Integer, MetaData, Table, text
from sqlalchemy.exc import IntegrityError

from tests.support.postgres import cluster

FIRST = """
from alembic import op
import sqlalchemy as sa

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))


def downgrade() -> None:
    op.drop_table("notes")
"""

SECOND = """
from alembic import op
import sqlalchemy as sa

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True))
    {then}


def downgrade() -> None:
    op.drop_table("tags")
"""


@pytest.fixture(scope="module")
def postgres():
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/folder/test.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "v0001_notes.py").write_text(FIRST)
    return folder


def add(number: int):
    def unit(connection: Connection) -> int:
        connection.execute(text("INSERT INTO notes (id) VALUES (:id)"), {"id": number})
        return number

    return unit


def numbers(connection: Connection) -> list[int]:
    return list(connection.execute(text("SELECT id FROM notes ORDER BY id")).scalars())


class TestUnits:
    async def test_a_written_unit_is_read(self, url, migrations):
        async with open_database(url, service="t", migrations=migrations) as database:
            assert await database.write(add(1)) == 1
            assert await database.read(numbers) == [1]

    async def test_a_failing_unit_takes_no_other_with_it(self, url, migrations):
        async with open_database(url, service="t", migrations=migrations) as database:
            await database.write(add(3))
            results = await asyncio.gather(
                *(database.write(add(number)) for number in range(6)), return_exceptions=True
            )
            assert [type(each) for each in results] == [int, int, int, IntegrityError, int, int]
            assert await database.read(numbers) == [0, 1, 2, 3, 4, 5]

    async def test_what_a_unit_raises_undoes_it_all(self, url, migrations):
        def unit(connection: Connection) -> None:
            add(1)(connection)
            raise LookupError("later")

        async with open_database(url, service="t", migrations=migrations) as database:
            with pytest.raises(LookupError, match="later"):
                await database.write(unit)
            assert await database.read(numbers) == []

    async def test_a_reading_unit_cannot_write(self, url, migrations):
        async with open_database(url, service="t", migrations=migrations) as database:
            with pytest.raises(Exception, match=r"read.?only"):
                await database.read(add(1))
            assert await database.read(numbers) == []

    async def test_an_insert_may_meet_its_row(self, url, migrations):
        notes = Table("notes", MetaData(), Column("id", Integer, primary_key=True))

        def unit(connection: Connection) -> None:
            connection.execute(insert(connection, notes).on_conflict_do_nothing(), {"id": 1})

        async with open_database(url, service="t", migrations=migrations) as database:
            await database.write(unit)
            await database.write(unit)
            assert await database.read(numbers) == [1]


class TestSqlite:
    async def test_units_that_wait_share_a_commit(self, tmp_path):
        database = SqliteDatabase(tmp_path / "a.db")
        entered, leave = threading.Event(), threading.Event()
        commits: list[int] = []

        def first(connection: Connection) -> None:
            entered.set()
            leave.wait()

        def stamp(connection: Connection) -> int:
            # The same for all units of one transaction.
            return id(connection.get_transaction())

        try:
            blocker = asyncio.create_task(database.write(first))
            await asyncio.to_thread(entered.wait)
            others = [asyncio.create_task(database.write(stamp)) for _ in range(20)]
            await asyncio.sleep(0)
            leave.set()
            commits = await asyncio.gather(*others)
            await blocker
        finally:
            await database.aclose()
        assert len(set(commits)) == 1

    async def test_a_full_queue_refuses(self, tmp_path):
        database = SqliteDatabase(tmp_path / "a.db", queue_limit=1)
        leave = threading.Event()
        try:
            first = asyncio.create_task(database.write(lambda _: leave.wait()))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await database.write(lambda _: None)
        finally:
            leave.set()
            await first
            await database.aclose()

    async def test_a_full_disk_is_a_typed_refusal_and_keeps_what_was_committed(
        self, tmp_path, migrations
    ):
        url = f"sqlite:///{tmp_path}/a.db"

        def fill(connection: Connection) -> None:
            connection.execute(text("CREATE TABLE blobs (b BLOB)"))
            connection.exec_driver_sql("PRAGMA max_page_count=20")
            connection.execute(text("INSERT INTO blobs VALUES (zeroblob(1000000))"))

        async with open_database(url, service="t", migrations=migrations) as database:
            await database.write(add(1))
            results = await asyncio.gather(
                database.write(add(2)), database.write(fill), return_exceptions=True
            )
            assert isinstance(results[1], DependencyUnavailable)
            kept = [1] if isinstance(results[0], DependencyUnavailable) else [1, 2]
            assert await database.read(numbers) == kept
            await database.write(add(9))
            assert await database.read(numbers) == [*kept, 9]

    async def test_a_cancelled_caller_does_not_stop_the_writer(self, tmp_path):
        database = SqliteDatabase(tmp_path / "a.db")
        leave = threading.Event()
        try:
            first = asyncio.create_task(database.write(lambda _: leave.wait()))
            await asyncio.sleep(0)
            first.cancel()
            leave.set()
            assert await database.write(lambda _: 7) == 7
        finally:
            await database.aclose()

    async def test_a_closed_database_refuses(self, tmp_path):
        database = SqliteDatabase(tmp_path / "a.db")
        await database.write(lambda _: None)
        await database.aclose()
        await database.aclose()
        with pytest.raises(DependencyUnavailable):
            await database.write(lambda _: None)

    async def test_every_commit_is_on_the_disk(self, tmp_path):
        database = SqliteDatabase(tmp_path / "a.db")
        try:
            pragmas = await database.write(
                lambda c: [
                    c.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("journal_mode", "synchronous")
                ]
            )
        finally:
            await database.aclose()
        assert pragmas == ["wal", 2]


class TestPostgresql:
    async def test_a_deadlock_is_run_again(self, postgres, migrations):
        url = postgres.new_database()
        async with open_database(url, service="t", migrations=migrations) as database:
            await database.write(add(1))
            runs = 0

            def unit(connection: Connection) -> None:
                nonlocal runs
                runs += 1
                if runs == 1:
                    connection.execute(
                        text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$")
                    )
                add(2)(connection)

            await database.write(unit)
            assert (runs, await database.read(numbers)) == (2, [1, 2])

    async def test_a_database_that_goes_and_comes_back(self, migrations):
        with cluster() as running:
            url = running.new_database()
            async with open_database(url, service="t", migrations=migrations) as database:
                await database.write(add(1))
                running.stop()
                with pytest.raises(DependencyUnavailable) as caught:
                    await database.write(add(2))
                assert caught.value.retry_after_seconds is not None
                with pytest.raises(DependencyUnavailable):
                    await database.read(numbers)
                running.start()
                await database.write(add(3))
                assert await database.read(numbers) == [1, 3]


class TestMigrations:
    async def test_up_and_down(self, url, migrations):
        async with open_database(url, service="t", migrations=migrations) as database:
            (migrations / "v0002_tags.py").write_text(SECOND.format(then=""))
            await upgrade(database, service="t", migrations=migrations)
            assert await current(database, service="t") == "0002"
            await downgrade(database, service="t", migrations=migrations, revision="0001")
            assert await current(database, service="t") == "0001"
            await downgrade(database, service="t", migrations=migrations, revision="base")
            assert await current(database, service="t") is None

    async def test_an_interrupted_migration_leaves_nothing_and_is_resumed(self, url, migrations):
        async with open_database(url, service="t", migrations=migrations):
            pass
        second = migrations / "v0002_tags.py"
        second.write_text(SECOND.format(then="raise RuntimeError('power cut')"))
        with pytest.raises(RuntimeError, match="power cut"):
            async with open_database(url, service="t", migrations=migrations):
                pass
        second.write_text(SECOND.format(then=""))
        async with open_database(url, service="t", migrations=migrations) as database:
            assert await current(database, service="t") == "0002"

    async def test_replicas_that_start_together_migrate_once(self, url, migrations):
        async def start() -> str | None:
            async with open_database(url, service="t", migrations=migrations) as database:
                return await current(database, service="t")

        assert await asyncio.gather(*(start() for _ in range(3))) == ["0001"] * 3

    async def test_services_may_share_a_database(self, url, migrations, tmp_path):
        others = tmp_path / "others"
        others.mkdir()
        (others / "v0001.py").write_text(FIRST.replace("notes", "others"))
        async with open_database(url, service="a", migrations=migrations) as database:
            await upgrade(database, service="b", migrations=others)
            assert await current(database, service="a") == "0001"
            assert await current(database, service="b") == "0001"


class TestUrls:
    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://a/b"])
    async def test_what_is_not_kept_or_not_known_is_refused(self, url):
        with pytest.raises(ValueError, match=r"SQLite|supported"):
            async with open_database(url):
                pass

    async def test_a_file_that_cannot_be_opened(self, tmp_path):
        sqlite3.connect(tmp_path / "a.db").close()
        (tmp_path / "b.db").mkdir()
        async with open_database(f"sqlite:///{tmp_path}/b.db") as database:
            with pytest.raises(DependencyUnavailable):
                await database.write(lambda _: None)
