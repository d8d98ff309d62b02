"""What the ledger must do on every database, whatever runs beside."""

import asyncio
from dataclasses import replace

import pytest
from parley_services.accounting.ledger.extend import ExtendRequest
from parley_services.accounting.ledger.unit_of_work import ReadSet
from parley_services.accounting.reports.audit import verify
from parley_services.accounting.reports.costs import CostQuery, EntryQuery
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import AttemptKind
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import (
    BudgetExhausted,
    ConcurrencyLimited,
    DependencyUnavailable,
    StateForbids,
)
from sqlalchemy import text

from tests.support.ledger import ADA, COST, TENANT, Replica, reserve, settle


class TestReplicas:
    async def test_two_hundred_clients_never_overspend_a_hard_budget(self, replicas):
        limit = 61 * COST + 50
        await replicas[0].hard_budget(limit)
        most_committed = 0

        async def client(number):
            nonlocal most_committed
            accounting = replicas[number % 3].accounting
            try:
                await accounting.reserve(reserve(f"r{number}"))
            except BudgetExhausted:
                return 0
            most_committed = max(most_committed, sum(await replicas[number % 3].budget()))
            # Another replica may book what this one reserved.
            await replicas[(number + 1) % 3].accounting.settle(settle(f"r{number}"))
            return 1

        turns = sum(await asyncio.gather(*(client(number) for number in range(200))))
        assert turns == 61
        assert most_committed <= limit
        assert await replicas[2].budget() == (61 * COST, 0)
        assert await replicas[1].cost() == 61 * COST

    async def test_what_a_crashed_caller_held_is_booked_once_and_nothing_stays_held(
        self, replicas, clock
    ):
        await replicas[0].hard_budget(100 * COST)
        for number in range(30):
            await replicas[number % 3].accounting.reserve(reserve(f"r{number}"))
        assert await replicas[0].budget() == (0, 30 * COST)
        clock.advance(61)
        ended = await asyncio.gather(*(each.lease_expirer.expire_due() for each in replicas))
        assert sum(ended) == 30
        assert await replicas[0].budget() == (30 * COST, 0)
        assert await replicas[0].cost() == 30 * COST

    async def test_the_same_booking_at_every_replica_is_booked_once(self, replicas):
        await replicas[0].accounting.reserve(reserve("r1"))
        results = await asyncio.gather(
            *(each.accounting.settle(settle("r1")) for each in replicas * 3)
        )
        assert sorted(each.was_settled for each in results) == [False] + [True] * 8
        assert await replicas[0].cost() == COST

    async def test_turns_at_once_are_limited_over_all_replicas(self, replicas):
        await replicas[0].limit(max_concurrent_turns=5)
        results = await asyncio.gather(
            *(replicas[n % 3].accounting.reserve(reserve(f"r{n}")) for n in range(30)),
            return_exceptions=True,
        )
        refused = [each for each in results if isinstance(each, ConcurrencyLimited)]
        assert len(refused) == 25

    async def test_the_chain_stays_whole_under_concurrency(self, replicas):
        subjects = [Subject(tenant_id=f"t{n % 3}", user_id="ada") for n in range(90)]
        await asyncio.gather(
            *(
                replicas[(n // 3) % 3].accounting.settle(settle(f"r{n}", subject))
                for n, subject in enumerate(subjects)
            )
        )
        found = await verify(replicas[0].reader)
        assert (found.checked_count, found.faults) == (90, ())


class TestSteps:
    async def test_an_answer_that_grows_is_stopped_where_the_budget_ends(self, replica):
        await replica.hard_budget(1_000)
        turn = await replica.accounting.reserve(reserve("r1", max_output_token_count=0))
        assert (turn.amount_nano_usd, turn.covered_output_token_count) == (572, 512)

        def extend(step, produced):
            return replica.accounting.extend(
                ExtendRequest(
                    request_id="r1",
                    reservation_id=turn.reservation_id,
                    step=step,
                    output_token_count=produced,
                )
            )

        extended = await extend(1, 512)
        assert (extended.amount_nano_usd, extended.covered_output_token_count) == (1_000, 940)
        with pytest.raises(BudgetExhausted):
            await extend(2, 940)
        await replica.accounting.settle(settle("r1", output=940))
        assert await replica.budget() == (1_000, 0)

    async def test_a_booking_after_the_lease_takes_the_estimate_back(self, replica, clock):
        await replica.hard_budget(10_000)
        await replica.accounting.reserve(reserve("r1"))
        clock.advance(61)
        assert await replica.lease_expirer.expire_due() == 1
        settled = await replica.accounting.settle(settle("r1", output=7))
        assert settled.cost_nano_usd == 67
        assert await replica.budget() == (67, 0)
        summary = await replica.reader.summary(CostQuery())
        assert (summary.total.request_count, summary.total.cost_nano_usd) == (1, 67)
        assert summary.total.usage.output_token_count == 7
        entries = await replica.reader.entries(EntryQuery(tenant_id="acme"))
        assert [entry.cost_nano_usd for entry in entries] == [100, -100, 67]

    async def test_setting_the_clock_ends_no_lease(self, replica, clock):
        await replica.accounting.reserve(reserve("r1"))
        clock.jump(7 * 86_400)
        assert await replica.lease_expirer.expire_due() == 0

    async def test_a_step_that_crashes_takes_no_other_with_it(self, replica):
        class Crash:
            read_set = ReadSet()

            def run(self, transaction):
                raise ZeroDivisionError

        results = await asyncio.gather(
            replica.accounting.settle(settle("r0")),
            replica.accounting.settle(settle("r1")),
            replica.store.commit(Crash()),
            replica.accounting.settle(settle("r2")),
            return_exceptions=True,
        )
        assert [type(each).__name__ for each in results] == [
            "Settled",
            "Settled",
            "ZeroDivisionError",
            "Settled",
        ]
        assert await replica.cost() == 3 * COST


class FailingCommits:
    """A database whose next commits fail after all of a unit has run."""

    def __init__(self, database, *, failures):
        self._database = database
        self._failures = failures

    async def read(self, unit):
        return await self._database.read(unit)

    async def write(self, unit):
        if not self._failures:
            return await self._database.write(unit)
        self._failures -= 1

        def fail(connection):
            unit(connection)
            raise DependencyUnavailable("The commit failed.", metadata={}, retry_after_seconds=1)

        return await self._database.write(fail)


class TestMemory:
    async def test_what_a_commit_did_not_keep_is_not_remembered(self, replica, clock):
        await replica.hard_budget(10 * COST)
        await replica.accounting.settle(settle("r0"))
        shaky = Replica(FailingCommits(replica.database, failures=2), clock)
        with pytest.raises(DependencyUnavailable):
            await shaky.accounting.reserve(reserve("r1"))
        with pytest.raises(DependencyUnavailable):
            await shaky.accounting.settle(settle("r1"))
        assert (await shaky.accounting.settle(settle("r1"))).was_settled is False
        assert await replica.budget() == (2 * COST, 0)
        found = await verify(replica.reader)
        assert (found.checked_count, found.faults) == (2, ())

    async def test_a_limit_that_another_replica_set_holds_for_the_next_turn(self, replicas):
        here, there, _ = replicas
        await here.accounting.reserve(reserve("r1"))
        await there.hard_budget(COST)
        with pytest.raises(BudgetExhausted):
            await here.accounting.reserve(reserve("r2"))
        await there.allowances.delete(TENANT)
        await here.accounting.reserve(reserve("r2"))

    async def test_a_turn_goes_on_at_another_replica(self, replicas):
        here, there, _ = replicas
        turn = await here.accounting.reserve(reserve("r1", max_output_token_count=0))
        extension = ExtendRequest(
            request_id="r1",
            reservation_id=turn.reservation_id,
            step=1,
            output_token_count=512,
        )
        extended = await there.accounting.extend(extension)
        assert await here.accounting.extend(extension) == extended
        await here.hard_budget(10_000)
        await there.accounting.settle(settle("r1", output=600))
        assert await here.budget() == (660, 0)


class TestTampering:
    @pytest.fixture
    async def booked(self, replica):
        for number in range(1, 8):
            await replica.accounting.settle(settle(f"r{number}", output=number))
        return replica

    @pytest.mark.parametrize(
        ("statements", "faults"),
        [
            ("UPDATE entries SET cost_nano_usd = 0 WHERE sequence = 3", [(3, "changed")]),
            ("UPDATE entries SET user_id = 'bob' WHERE sequence = 7", [(7, "changed")]),
            ("DELETE FROM entries WHERE sequence = 4", [(4, "missing")]),
            ("DELETE FROM entries WHERE sequence > 5", [(6, "missing"), (7, "missing")]),
            (
                "UPDATE entries SET sequence = 99 WHERE sequence = 2;"
                "UPDATE entries SET sequence = 2 WHERE sequence = 5;"
                "UPDATE entries SET sequence = 5 WHERE sequence = 99",
                [(2, "reordered"), (5, "reordered")],
            ),
            (
                "UPDATE entries SET sequence = 99 WHERE sequence = 2;"
                "UPDATE entries SET sequence = 2 WHERE sequence = 3;"
                "UPDATE entries SET sequence = 3 WHERE sequence = 99",
                [(2, "reordered"), (3, "reordered")],
            ),
        ],
    )
    async def test_each_fault_is_found_and_named(self, booked, statements, faults):
        def unit(connection):
            for statement in statements.split(";"):
                connection.execute(text(statement))

        await booked.database.write(unit)
        found = await verify(booked.reader)
        rows = [(each.sequence, each.kind.key) for each in found.faults if each.sequence]
        assert rows == faults

    @pytest.mark.parametrize(
        ("statement", "faults"),
        [
            (
                "UPDATE usage_counters SET total_used_nano_usd = 5 WHERE key_text LIKE 'user%'",
                [("balance", "user/ada", 448, 5)],
            ),
            (
                "UPDATE usage_counters SET reserved_nano_usd = 0 WHERE key_text LIKE 'team%'",
                [("hold", "team/core", COST, 0)],
            ),
            (
                "DELETE FROM usage_counters WHERE key_text LIKE 'suite%'",
                [
                    ("balance", "suite", 448, 0),
                    ("hold", "suite", COST, 0),
                ],
            ),
            (
                "UPDATE rollups SET cost_nano_usd = 1 WHERE dimension = 'total' AND level = 4"
                " AND tenant_id = 'acme'",
                [("rollup", "", 448, 1)],
            ),
        ],
    )
    async def test_each_sum_that_is_kept_is_proved(self, booked, statement, faults):
        await booked.accounting.reserve(reserve("r8"))
        await booked.rollup_worker.roll_up()
        assert (await verify(booked.reader)).faults == ()
        await booked.database.write(lambda connection: connection.execute(text(statement)) and None)
        found = await verify(booked.reader)
        assert [
            (each.kind.key, each.subject, each.expected_nano_usd, each.found_nano_usd)
            for each in found.faults
        ] == faults


def reported(request_id, number=1, output=40):
    """Return one attempt, as a router tells of it."""
    request = settle(request_id, output=output)
    (attempt,) = request.attempts
    return replace(
        request, attempts=(replace(attempt, number=number),), source=AnswerSource.UNSPECIFIED
    )


class TestRunsOfATurn:
    async def test_a_repeated_reservation_is_the_same_and_a_second_run_is_refused(self, replicas):
        await replicas[0].hard_budget(100 * COST)
        first = await replicas[0].accounting.reserve(reserve("r1", reservation_id="one"))
        again = await replicas[1].accounting.reserve(reserve("r1", reservation_id="one"))
        assert (first.reservation_id, again) == ("one", first)
        with pytest.raises(StateForbids):
            await replicas[2].accounting.reserve(reserve("r1", reservation_id="two"))
        assert await replicas[0].budget() == (0, COST)

    async def test_a_run_that_was_refused_cannot_end_the_reservation_of_another(self, replicas):
        await replicas[0].hard_budget(100 * COST)
        await replicas[0].accounting.reserve(reserve("r1", reservation_id="one"))
        await replicas[1].accounting.release("r1", ADA, "two")
        assert await replicas[0].budget() == (0, COST)
        await replicas[1].accounting.release("r1", ADA, "one")
        assert await replicas[0].budget() == (0, 0)


class TestReportedAttempts:
    async def test_what_nobody_settled_is_booked_and_nothing_stays_held(self, replicas):
        await replicas[0].hard_budget(100 * COST)
        await replicas[0].accounting.reserve(reserve("r1"))
        assert await replicas[1].accounting.book([reported("r1", 1), reported("r1", 2)]) == 2
        assert await replicas[2].budget() == (2 * COST, 0)

    async def test_what_is_settled_is_left_as_it_is(self, replicas):
        await replicas[0].accounting.reserve(reserve("r1"))
        await replicas[0].accounting.settle(settle("r1"))
        assert await replicas[1].accounting.book([reported("r1", output=10_000)]) == 0
        assert await replicas[1].cost() == COST

    async def test_a_settlement_that_comes_after_all_books_what_is_missing_only(self, replicas):
        await replicas[0].accounting.reserve(reserve("r1"))
        assert await replicas[0].accounting.book([reported("r1", 1)]) == 1
        late = settle("r1")
        second = replace(late.attempts[0], number=2)
        await replicas[1].accounting.settle(replace(late, attempts=(*late.attempts, second)))
        assert await replicas[2].cost() == 2 * COST

    async def test_the_estimate_of_an_expiry_is_taken_back(self, replicas, clock):
        await replicas[0].accounting.reserve(reserve("r1", max_output_token_count=4000))
        clock.advance(61)
        await replicas[0].lease_expirer.expire_due()
        assert await replicas[1].accounting.book([reported("r1")]) == 1
        assert await replicas[1].cost() == COST

    async def test_a_released_turn_and_one_that_nobody_knew_are_booked(self, replicas):
        await replicas[0].accounting.reserve(reserve("r1"))
        await replicas[0].accounting.release("r1", ADA)
        assert await replicas[0].accounting.book([reported("r1"), reported("r2")]) == 2
        assert await replicas[1].cost() == 2 * COST

    async def test_all_routers_may_tell_of_the_same(self, replicas):
        many = [reported(f"r{number}") for number in range(50)]
        await asyncio.gather(*(each.accounting.book(many) for each in replicas * 2))
        assert await replicas[0].cost() == 50 * COST
        assert await replicas[0].accounting.book(many) == 0

    async def test_what_was_used_beside_the_answer_leaves_the_turn_as_it_is(self, replicas, clock):
        embedding = reported("r1", 9)
        embedding = replace(
            embedding,
            attempts=(replace(embedding.attempts[0], kind=AttemptKind.EMBEDDING),),
        )
        await replicas[0].hard_budget(100 * COST)
        await replicas[0].accounting.reserve(reserve("r1"))
        assert await replicas[1].accounting.book([embedding]) == 1
        assert await replicas[0].budget() == (COST, COST)
        clock.advance(61)
        await replicas[0].lease_expirer.expire_due()
        assert await replicas[0].budget() == (2 * COST, 0)
        await replicas[0].accounting.release("r1", ADA)
        assert await replicas[0].budget() == (COST, 0)
