"""What was spent, as it is read."""

import sqlite3
from contextlib import closing

import pytest
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.chat.v1 import answer_pb2, subject_pb2
from parley_services.kit.errors import InvalidArgument, NotFound

from tests.service.accounting.calls import ADA, refused, reserve, settle
from tests.support.waiting import eventually


class TestReading:
    async def test_top_users_are_the_dearest_first(self, stub):
        for number, (user, cost) in enumerate([("ada", 10), ("bob", 30), ("ada", 5), ("cy", 1)]):
            subject = subject_pb2.Subject(tenant_id="acme", user_id=user)
            await stub.Settle(settle(f"r{number}", subject, cost=cost))
        summary = await stub.GetCostSummary(
            pb.GetCostSummaryRequest(tenant_id="acme", grouping=pb.COST_GROUPING_USER, page_size=2)
        )
        found = [(each.name, each.cost_nano_usd, each.request_count) for each in summary.groups]
        assert found == [("bob", 30, 1), ("ada", 15, 2)]
        assert summary.total.cost_nano_usd == 46
        rest = await stub.GetCostSummary(
            pb.GetCostSummaryRequest(
                tenant_id="acme",
                grouping=pb.COST_GROUPING_USER,
                page_size=2,
                page_token=summary.next_page_token,
            )
        )
        assert ([each.name for each in rest.groups], rest.next_page_token) == (["cy"], "")

    @pytest.mark.parametrize(
        ("grouping", "name"),
        [
            (pb.COST_GROUPING_MODEL, "gpt-4o"),
            (pb.COST_GROUPING_TEMPLATE, "faq"),
            (pb.COST_GROUPING_TEAM, "core"),
            (pb.COST_GROUPING_KEY, "key_1"),
            (pb.COST_GROUPING_TENANT, "acme"),
            (pb.COST_GROUPING_HOUR, "2026-01-01T00"),
            (pb.COST_GROUPING_DAY, "2026-01-01"),
        ],
    )
    async def test_groupings(self, serve, grouping, name):
        stub = await serve()
        await stub.Settle(settle(template="faq"))
        summary = await stub.GetCostSummary(pb.GetCostSummaryRequest(grouping=grouping))
        assert [each.name for each in summary.groups] == [name]

    async def test_a_tag_is_a_grouping_of_its_own(self, serve):
        stub = await serve()
        await stub.Settle(settle("r1", tags={'a "b': "x"}))
        await stub.Settle(settle("r2"))
        query = pb.GetCostSummaryRequest(grouping=pb.COST_GROUPING_TAG, tag='a "b')
        names = [each.name for each in (await stub.GetCostSummary(query)).groups]
        assert sorted(names) == ["", "x"]
        query.tag = ""
        await refused(stub.GetCostSummary(query), InvalidArgument)

    async def test_a_cache_hit_costs_nothing_and_saves(self, serve):
        stub = await serve()
        await stub.Reserve(reserve())
        await stub.Settle(
            pb.SettleRequest(
                request_id="r1",
                subject=ADA,
                source=answer_pb2.ANSWER_SOURCE_CACHE_EXACT,
                saved_cost_nano_usd=77,
                model="gpt-4o",
            )
        )
        total = (await stub.GetCostSummary(pb.GetCostSummaryRequest())).total
        assert (total.request_count, total.cache_hit_count, total.attempt_count) == (1, 1, 0)
        assert (total.cost_nano_usd, total.saved_cost_nano_usd) == (0, 77)

    async def test_the_example_projection(self, serve):
        stub = await serve()
        month = await stub.ProjectCost(
            pb.ProjectCostRequest(
                user_count=10_000,
                questions_per_user=5,
                input_token_count=1500,
                output_token_count=400,
                cache_hit_rate=0.35,
                model="gpt-4o",
            )
        )
        assert month.question_count == 1_500_000
        assert month.cost_nano_usd == 7_556_250_000_000
        assert month.uncached_cost_nano_usd == 11_625_000_000_000

    async def test_entries_are_read_in_pages_and_verify(self, serve):
        stub = await serve()
        for number in range(5):
            await stub.Settle(settle(f"r{number}"))
        first = await stub.ListEntries(pb.ListEntriesRequest(tenant_id="acme", page_size=3))
        second = await stub.ListEntries(
            pb.ListEntriesRequest(tenant_id="acme", page_size=3, page_token=first.next_page_token)
        )
        sequences = [entry.sequence for entry in (*first.entries, *second.entries)]
        assert (sequences, second.next_page_token) == ([1, 2, 3, 4, 5], "")
        verified = await stub.VerifyLedger(pb.VerifyLedgerRequest())
        assert (verified.checked_count, list(verified.faults)) == (5, [])

    async def test_a_ledger_that_does_not_fit_is_told_and_alerts(self, serve, tmp_path):
        stub = await serve()
        await stub.Settle(settle(cost=5))
        with closing(sqlite3.connect(tmp_path / "accounting.db")) as connection, connection:
            connection.execute("UPDATE entries SET cost_nano_usd = 4")
        verified = await stub.VerifyLedger(pb.VerifyLedgerRequest(tenant_id="acme"))
        row, *sums = verified.faults
        assert (row.tenant_id, row.sequence, row.kind) == (
            "acme",
            1,
            pb.LEDGER_FAULT_KIND_CHANGED,
        )
        assert [(each.kind, each.subject) for each in sums] == [
            (pb.LEDGER_FAULT_KIND_BALANCE, "key/key_1"),
            (pb.LEDGER_FAULT_KIND_BALANCE, "team/core"),
            (pb.LEDGER_FAULT_KIND_BALANCE, "tenant/acme"),
            (pb.LEDGER_FAULT_KIND_BALANCE, "user/ada"),
        ]
        assert {(each.expected_nano_usd, each.found_nano_usd) for each in sums} == {(4, 5)}
        (alert,) = (await stub.ListAlerts(pb.ListAlertsRequest(tenant_id="acme"))).alerts
        assert alert.kind == pb.ALERT_KIND_LEDGER_FAULT
        assert "entry 1 of acme is changed" in alert.message

    async def test_a_correction_is_marked(self, serve, clock):
        stub = await serve(lease_grace_seconds=0, lease_check_interval_seconds=0.01)
        await stub.Reserve(reserve())
        clock.advance(31)

        async def expired():
            page = await stub.ListEntries(pb.ListEntriesRequest(tenant_id="acme"))
            return len(page.entries) == 1

        await eventually(expired)
        await stub.Settle(settle())
        page = await stub.ListEntries(pb.ListEntriesRequest(tenant_id="acme"))
        found = [(each.account, each.correction) for each in page.entries]
        assert found == [
            (pb.LEDGER_ACCOUNT_EXPIRY, False),
            (pb.LEDGER_ACCOUNT_EXPIRY, True),
            (pb.LEDGER_ACCOUNT_USAGE, False),
        ]

    async def test_a_turn_that_booked_nothing_is_not_found(self, serve):
        stub = await serve()
        query = pb.GetTurnCostRequest(tenant_id="acme", request_id="none")
        await refused(stub.GetTurnCost(query), NotFound)
