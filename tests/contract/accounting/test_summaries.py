"""Summaries say the same however much of the ledger is rolled up."""

import asyncio
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from parley_services.accounting.clock_reader import from_us
from parley_services.accounting.ledger.settle import AnswerSource, Attempt, SettleRequest
from parley_services.accounting.reports.costs import CostGrouping, CostQuery, EntryQuery
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage

LAST = datetime(2026, 1, 1, tzinfo=UTC)
"""When the test's clock begins; turns ended before."""

QUERIES = [
    CostQuery(),
    CostQuery(tenant_id="t1"),
    CostQuery(start_time=datetime(2025, 3, 7, 5, 30, tzinfo=UTC)),
    CostQuery(tenant_id="t0", end_time=datetime(2025, 11, 2, 23, 59, 59, tzinfo=UTC)),
    CostQuery(
        start_time=datetime(2025, 2, 28, 13, 1, tzinfo=UTC),
        end_time=datetime(2025, 12, 1, tzinfo=UTC),
    ),
    CostQuery(
        start_time=datetime(2025, 6, 1, 9, 10, tzinfo=UTC),
        end_time=datetime(2025, 6, 1, 9, 50, tzinfo=UTC),
    ),
    CostQuery(
        tenant_id="t1",
        start_time=datetime(2025, 6, 1, tzinfo=UTC),
        end_time=datetime(2025, 6, 3, tzinfo=UTC),
    ),
]
NAMES = {
    CostGrouping.USER: lambda entry: entry.subject.user_id,
    CostGrouping.MODEL: lambda entry: entry.model,
    CostGrouping.TEMPLATE: lambda entry: entry.template,
    CostGrouping.TEAM: lambda entry: entry.subject.team_id,
    CostGrouping.KEY: lambda entry: entry.subject.key_id,
    CostGrouping.TENANT: lambda entry: entry.tenant_id,
    CostGrouping.TAG: lambda entry: entry.tags.get("app", ""),
    CostGrouping.HOUR: lambda entry: from_us(entry.end_time_us).strftime("%Y-%m-%dT%H"),
    CostGrouping.DAY: lambda entry: from_us(entry.end_time_us).strftime("%Y-%m-%d"),
}


def turns(draw, count, prefix):
    """Yield turns of a year, of two tenants."""
    for number in range(count):
        subject = Subject(
            tenant_id=f"t{draw.randrange(2)}",
            team_id=draw.choice(["", "core"]),
            user_id=f"u{draw.randrange(5)}",
            key_id="k",
        )
        minutes = draw.choice([draw.randrange(525_600), 214 * 1440 + draw.randrange(2 * 1440)])
        yield SettleRequest(
            request_id=f"{prefix}{number}",
            subject=subject,
            attempts=(
                Attempt(
                    number=1,
                    provider="p",
                    model=draw.choice(["small", "large"]),
                    usage=Usage(
                        input_token_count=draw.randrange(100),
                        output_token_count=draw.randrange(100),
                    ),
                ),
            ),
            source=AnswerSource.MODEL,
            template=draw.choice(["faq", "chat"]),
            tags=draw.choice([{}, {"app": "help"}, {"app": "shop", "env": "x"}]),
            end_time=LAST - timedelta(minutes=minutes),
        )


async def expected(replica, query, grouping):
    """Add up the entries one by one."""
    costs, counts = defaultdict(int), defaultdict(int)
    for tenant in ("t0", "t1"):
        for entry in await replica.reader.entries(EntryQuery(tenant_id=tenant, limit=10_000)):
            end_time = from_us(entry.end_time_us)
            if (
                query.tenant_id not in ("", tenant)
                or (query.start_time is not None and end_time < query.start_time)
                or (query.end_time is not None and end_time >= query.end_time)
            ):
                continue
            name = NAMES[grouping](entry)
            costs[name] += entry.cost_nano_usd
            counts[name] += 1
    return {name: (costs[name], counts[name]) for name in costs}


async def check(replica):
    for grouping in NAMES:
        for query in QUERIES:
            asked = CostQuery(
                tenant_id=query.tenant_id,
                grouping=grouping,
                tag="app" if grouping is CostGrouping.TAG else "",
                start_time=query.start_time,
                end_time=query.end_time,
                limit=10_000,
            )
            summary = await replica.reader.summary(asked)
            found = {
                group.name: (group.cost_nano_usd, group.request_count) for group in summary.groups
            }
            wanted = await expected(replica, query, grouping)
            assert found == wanted, asked
            assert summary.total.cost_nano_usd == sum(cost for cost, _ in wanted.values())
            costs = [group.cost_nano_usd for group in summary.groups]
            if grouping.is_by_time:
                assert [each.name for each in summary.groups] == sorted(wanted)
            else:
                assert costs == sorted(costs, reverse=True)


@pytest.fixture
async def booked(replica):
    draw = random.Random(5)
    for turn in turns(draw, 250, "a"):
        await replica.accounting.settle(turn)
    return replica


class TestRolling:
    async def test_nothing_rolled_all_rolled_and_in_between(self, booked):
        await check(booked)
        assert await booked.rollup_worker.roll_up() == 250
        await check(booked)
        for turn in turns(random.Random(6), 60, "b"):
            await booked.accounting.settle(turn)
        await check(booked)

    async def test_replicas_roll_each_entry_once(self, replicas):
        for turn in turns(random.Random(7), 120, "a"):
            await replicas[0].accounting.settle(turn)
        rolled = await asyncio.gather(*(each.rollup_worker.roll_up() for each in replicas))
        assert sum(rolled) == 120
        await check(replicas[1])

    async def test_groups_come_in_pages(self, booked):
        await booked.rollup_worker.roll_up()
        names = []
        for offset in range(0, 6, 2):
            query = CostQuery(grouping=CostGrouping.USER, offset=offset, limit=2)
            page = await booked.reader.summary(query)
            names += [group.name for group in page.groups]
            assert page.has_more == (offset < 4)
        assert sorted(names) == ["u0", "u1", "u2", "u3", "u4"]
