"""What is booked stays booked, and what cannot be booked is refused as such."""

import shutil

import pytest
from parley_services.accounting.app import MIGRATIONS
from parley_services.accounting.reports.audit import verify
from parley_services.accounting.reports.costs import EntryQuery
from parley_services.accounting.subjects import SubjectKey, SubjectLevel
from parley_services.kit.errors import DependencyUnavailable, RateLimited
from parley_services.kit.storage.database import current, open_database, upgrade
from sqlalchemy import text

from tests.support.ledger import COST, JumpingClock, open_replica, reserve, settle
from tests.support.postgres import cluster

DAY = 86_400
USER = SubjectKey(level=SubjectLevel.USER, tenant_id="acme", subject_id="ada")
BREAKS = """
from alembic import op
import sqlalchemy as sa

revision = "9999"
down_revision = "{head}"

def upgrade():
    op.create_table("half_made", sa.Column("number", sa.Integer))
    raise RuntimeError("The machine stops here.")
"""


class TestDatabaseAway:
    async def test_nothing_booked_is_lost(self, clock):
        with cluster() as running:
            async with open_replica(running.new_database(), clock) as replica:
                await replica.accounting.reserve(reserve("r1"))
                await replica.accounting.settle(settle("r1"))
                running.stop()
                with pytest.raises(DependencyUnavailable):
                    await replica.accounting.reserve(reserve("r2"))
                with pytest.raises(DependencyUnavailable):
                    await replica.accounting.settle(settle("r3"))
                with pytest.raises(DependencyUnavailable):
                    await replica.lease_expirer.run()
                running.start()
                await replica.lease_expirer.run()
                await replica.accounting.settle(settle("r3"))
                assert await replica.cost() == 2 * COST
                assert (await verify(replica.reader)).faults == ()


class TestDiskFull:
    async def test_new_turns_are_refused_and_what_is_booked_stays(self, tmp_path, clock):
        async with open_replica(f"sqlite:///{tmp_path}/accounting.db", clock) as replica:
            await replica.hard_budget(10**9)
            await allow_no_more_pages(replica)
            held = await until_refused(lambda n: replica.accounting.reserve(reserve(f"h{n}")))
            # What was refused is neither remembered nor half written.
            assert await replica.budget() == (0, held * COST)
            await replica.accounting.reserve(reserve(f"h{held}"))

    async def test_a_booking_that_is_refused_is_booked_once_there_is_room(self, tmp_path, clock):
        async with open_replica(f"sqlite:///{tmp_path}/accounting.db", clock) as replica:
            await replica.hard_budget(10**9)
            await allow_no_more_pages(replica)
            booked = await until_refused(lambda n: replica.accounting.settle(settle(f"s{n}")))
            assert await replica.budget() == (booked * COST, 0)
            again = [await replica.accounting.settle(settle(f"s{n}")) for n in range(booked + 1)]
            assert [each.was_settled for each in again] == [True] * booked + [False]
            found = await verify(replica.reader)
            assert (found.checked_count, found.faults) == (booked + 1, ())


async def until_refused(act):
    """Act until the disk is full; return how often it was not."""
    for number in range(10_000):
        try:
            await act(number)
        except DependencyUnavailable:
            return number
    raise AssertionError("the disk was never full")


async def allow_no_more_pages(replica):
    """Keep the file from growing, as a full disk does, until the first write that fails."""

    def unit(connection):
        count = connection.execute(text("PRAGMA page_count")).scalar()
        connection.execute(text(f"PRAGMA max_page_count={count}"))

    await replica.database.write(unit)


class TestClock:
    async def test_a_clock_set_back_begins_no_budget_anew(self, replica, clock):
        await replica.accounting.settle(settle("r1"))
        clock.jump(-3 * DAY)
        await replica.accounting.settle(settle("r2"))
        assert await used_today(replica) == 2 * COST
        clock.jump(4 * DAY)
        await replica.accounting.settle(settle("r3"))
        assert await used_today(replica) == COST

    async def test_a_clock_that_is_set_lets_nobody_through_early(self, replica, clock):
        await replica.limit(key=USER, requests_per_minute=1)
        await replica.accounting.reserve(reserve("r1"))
        for jump in (10 * DAY, -20 * DAY):
            clock.jump(jump)
            with pytest.raises(RateLimited):
                await replica.accounting.reserve(reserve("r2"))
        clock.advance(61)
        await replica.accounting.reserve(reserve("r2"))

    async def test_a_clock_set_back_keeps_the_order_of_the_ledger(self, replica, clock):
        for number, jump in enumerate((0, -DAY, 2 * DAY)):
            clock.jump(jump)
            await replica.accounting.settle(settle(f"r{number}"))
        entries = await replica.reader.entries(EntryQuery(tenant_id="acme"))
        assert [entry.request_id for entry in entries] == ["r0", "r1", "r2"]
        assert (await verify(replica.reader)).faults == ()


async def used_today(replica):
    def unit(connection):
        query = text("SELECT day_used_nano_usd FROM usage_counters WHERE key_text = :key")
        return connection.execute(query, {"key": USER.text}).scalar()

    return await replica.database.read(unit)


class TestMigration:
    async def test_one_that_is_interrupted_leaves_the_old_books_and_is_resumed(self, url, tmp_path):
        broken = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, broken, ignore=shutil.ignore_patterns("__pycache__"))
        head = max(path.name[1:5] for path in MIGRATIONS.glob("v*.py"))
        (broken / "v9999_breaks.py").write_text(BREAKS.format(head=head))
        async with open_database(url) as database:
            await upgrade(database, service="accounting", migrations=MIGRATIONS, revision="0001")
            await database.write(
                lambda connection: (
                    connection.execute(
                        text(
                            "INSERT INTO streams (tenant_id, sequence, row_hash) "
                            "VALUES ('old', 0, :zeros)"
                        ),
                        {"zeros": bytes(32)},
                    )
                    and None
                )
            )
            with pytest.raises(RuntimeError):
                await upgrade(database, service="accounting", migrations=broken)
            assert await current(database, service="accounting") == "0001"
        async with open_replica(url, JumpingClock()) as replica:
            await replica.accounting.settle(settle("r1"))
            found = await verify(replica.reader)
            assert (found.checked_count, found.faults) == (1, ())
            assert {head.tenant_id for head in (await replica.reader.figures()).heads} == {
                "old",
                "acme",
            }
