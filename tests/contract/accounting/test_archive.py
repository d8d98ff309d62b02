"""Old entries leave the database; the chain, the balances and the summaries stay whole."""

from datetime import UTC, datetime, timedelta

import pytest
from parley_services.accounting.ledger.settle import (
    AnswerSource,
    Attempt,
    AttemptKind,
    SettleRequest,
)
from parley_services.accounting.reports.archive import Archiver, ChainBroken
from parley_services.accounting.reports.archive_files import (
    ArchiveFolder,
    read_archive,
    verify_archive,
)
from parley_services.accounting.reports.audit import verify
from parley_services.accounting.reports.costs import CostGrouping, CostQuery, EntryQuery
from parley_services.accounting.sql.archive import SqlArchive
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import InvalidArgument
from sqlalchemy import text

from tests.support.ledger import ADA, COST, reserve, settle

DAYS = 30
START = datetime(2026, 1, 1, tzinfo=UTC)
"""When the test's clock begins."""


@pytest.fixture
def archiver_of(tmp_path, clock):
    """Makes an archiver of a replica's ledger: `archiver_of(replica, keep=...)`."""

    def archiver_of(replica, keep=ArchiveFolder(tmp_path / "archive").keep):  # noqa: B008
        return Archiver(
            SqlArchive(replica.database),
            keep,
            detail_days=DAYS,
            clock=clock,
        )

    return archiver_of


@pytest.fixture
async def aged(replica, clock):
    """Ten old turns, one of them a shadow call, and three new ones; all rolled up."""
    await replica.hard_budget(10**9)
    for number in range(9):
        await replica.accounting.settle(settle(f"old{number}"))
    shadow = Attempt(
        number=1,
        provider="p",
        model="any",
        kind=AttemptKind.SHADOW,
        usage=Usage(input_token_count=COST),
    )
    await replica.accounting.settle(
        SettleRequest(request_id="old9", subject=ADA, attempts=(shadow,), source=AnswerSource.MODEL)
    )
    await replica.accounting.release("nothing", ADA)
    clock.jump((DAYS + 10) * 86_400)
    for number in range(3):
        await replica.accounting.settle(settle(f"new{number}"))
    await replica.rollup_worker.roll_up()
    return replica


async def entry_ids(replica):
    entries = await replica.reader.entries(EntryQuery(tenant_id="acme"))
    return [entry.request_id for entry in entries]


class TestArchive:
    async def test_what_is_left_is_verified_from_the_checkpoint_on(
        self, aged, archiver_of, tmp_path
    ):
        assert await archiver_of(aged).archive() == 10
        assert await entry_ids(aged) == ["new0", "new1", "new2"]
        found = await verify(aged.reader)
        assert (found.checked_count, found.faults) == (3, ())
        assert await aged.budget() == (12 * COST, 0)
        # The files are the chain up to there, and the database goes on where they end.
        head, count, faults = verify_archive(tmp_path / "archive" / "acme")
        assert (head.sequence, count, faults) == (10, 10, ())
        (first, *_) = await aged.reader.entries(EntryQuery(tenant_id="acme"))
        assert first.hash_after(head.row_hash, 11) == first.row_hash

    async def test_bookings_go_on_and_leave_in_their_turn(self, aged, archiver_of, clock, tmp_path):
        archiver = archiver_of(aged)
        await archiver.archive()
        await aged.accounting.settle(settle("newer"))
        assert await archiver.archive() == 0
        clock.jump((DAYS + 1) * 86_400)
        assert await archiver.archive() == 3  # The fourth is not rolled up yet.
        await aged.rollup_worker.roll_up()
        assert await archiver.archive() == 1
        head, count, faults = verify_archive(tmp_path / "archive" / "acme")
        assert (head.sequence, count, faults) == (14, 14, ())
        assert (await verify(aged.reader)).faults == ()

    async def test_summaries_still_count_what_left(self, aged, archiver_of):
        queries = [
            CostQuery(grouping=CostGrouping.USER),
            CostQuery(tenant_id="acme", grouping=CostGrouping.HOUR),
            CostQuery(end_time=START + timedelta(days=2)),
        ]
        before = [await aged.reader.summary(query) for query in queries]
        await archiver_of(aged).archive()
        assert [await aged.reader.summary(query) for query in queries] == before

    async def test_a_range_that_ends_within_an_archived_day_is_refused(self, aged, archiver_of):
        ends = CostQuery(grouping=CostGrouping.USER, end_time=START + timedelta(minutes=5))
        await aged.reader.summary(ends)
        await archiver_of(aged).archive()
        with pytest.raises(InvalidArgument, match="whole day"):
            await aged.reader.summary(ends)

    async def test_a_crash_between_keeping_and_removing_changes_nothing(
        self, aged, archiver_of, tmp_path
    ):
        class Crash(Exception):
            pass

        folder = ArchiveFolder(tmp_path / "archive")

        async def keep_and_crash(part):
            await folder.keep(part)
            raise Crash

        with pytest.raises(Crash):
            await archiver_of(aged, keep_and_crash).archive()
        assert len(await entry_ids(aged)) == 13
        assert await archiver_of(aged).archive() == 10
        assert len(list(read_archive(tmp_path / "archive" / "acme"))) == 10
        assert (await verify(aged.reader)).faults == ()

    async def test_a_fault_does_not_leave(self, aged, archiver_of):
        statement = text("UPDATE entries SET cost_nano_usd = 1 WHERE sequence = 4")
        await aged.database.write(lambda connection: connection.execute(statement) and None)
        with pytest.raises(ChainBroken, match="entry 4"):
            await archiver_of(aged).archive()
        assert len(await entry_ids(aged)) == 13
        assert (await verify(aged.reader)).faults[0].sequence == 4

    async def test_a_row_that_is_missing_behind_the_checkpoint_is_found(self, aged, archiver_of):
        await archiver_of(aged).archive()
        statement = text("DELETE FROM entries WHERE sequence = 11")
        await aged.database.write(lambda connection: connection.execute(statement) and None)
        rows = [each for each in (await verify(aged.reader)).faults if each.sequence]
        assert [(each.sequence, each.kind.key) for each in rows] == [(11, "missing")]

    async def test_old_turns_are_forgotten_and_running_ones_are_not(self, aged, archiver_of, clock):
        await aged.accounting.reserve(reserve("held"))
        clock.jump((DAYS + 10) * 86_400)
        await archiver_of(aged).archive()

        def unit(connection):
            query = text("SELECT request_id FROM turns ORDER BY request_id")
            return list(connection.execute(query).scalars())

        assert await aged.database.read(unit) == ["held"]
        await aged.accounting.settle(settle("held"))
        assert (await verify(aged.reader)).faults == ()

    async def test_tenants_have_folders_of_their_own_whatever_their_names(
        self, replica, archiver_of, clock, tmp_path
    ):
        for tenant in ("../up", "plain"):
            await replica.accounting.settle(settle("r1", Subject(tenant_id=tenant, user_id="u")))
        clock.jump((DAYS + 10) * 86_400)
        await replica.rollup_worker.roll_up()
        assert await archiver_of(replica).archive() == 2
        names = sorted(path.name for path in (tmp_path / "archive").iterdir())
        assert names[0] == "plain"
        assert names[1].startswith("tenant.")
        assert (await verify(replica.reader)).faults == ()
