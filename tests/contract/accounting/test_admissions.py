"""What admission must do wherever it keeps its counts."""

import asyncio

import pytest
from parley_services.accounting.limits.admission import AdmissionRequest
from parley_services.accounting.limits.memory_admissions import MemoryAdmissions
from parley_services.accounting.subjects import SubjectKey, SubjectLevel
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import ConcurrencyLimited, RateLimited, StateForbids

from tests.support.ledger import ADA, TENANT, open_replica

USER = SubjectKey(level=SubjectLevel.USER, tenant_id="acme", subject_id="ada")
BOB = Subject(tenant_id="acme", user_id="bob")


def turn(request_id, subject=ADA, *, run="one", lease_seconds=60.0):
    return AdmissionRequest(
        request_id=request_id, subject=subject, reservation_id=run, lease_seconds=lease_seconds
    )


@pytest.fixture(params=["memory", "table"])
async def gates(request, url, clock):
    """Two processes that admit turns, on one database: what they share depends on their kind."""
    async with open_replica(url, clock) as here, open_replica(url, clock) as there:
        if request.param == "table":
            yield here, [here.admissions, there.admissions]
        else:
            memory = MemoryAdmissions(
                here.allowances.limits_of,
                limiter=here.context.limiter,
                clock_reader=here.clock_reader,
            )
            yield here, [memory, memory]


async def test_a_rate_holds_for_all_that_come_at_once(gates):
    replica, (here, there) = gates
    await replica.limit(requests_per_minute=30)
    calls = [(here, there)[n % 2].admit(turn(f"r{n}")) for n in range(100)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in results if isinstance(each, RateLimited)]
    assert len(refused) == 70
    assert refused[0].metadata == {"subject": "tenant/acme", "limit": "30", "unit": "requests"}


async def test_a_refused_turn_counts_for_nothing(gates, clock):
    replica, (here, there) = gates
    await replica.limit(requests_per_minute=2)
    await here.admit(turn("r1"))
    await here.admit(turn("r2"))
    for number in range(5):
        with pytest.raises(RateLimited) as refused:
            await there.admit(turn(f"x{number}"))
    clock.advance(refused.value.retry_after_seconds)
    await there.admit(turn("r3"))


async def test_turns_at_once_are_limited_until_one_ends(gates):
    replica, (here, there) = gates
    await replica.limit(max_concurrent_turns=5)
    calls = [(here, there)[n % 2].admit(turn(f"r{n}")) for n in range(30)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(each, ConcurrencyLimited) for each in results) == 25
    admitted = [f"r{n}" for n, each in enumerate(results) if not isinstance(each, Exception)]
    await there.end(turn(admitted[0]).turn_key)
    await there.end(turn(admitted[0]).turn_key)
    await here.admit(turn("late"))
    with pytest.raises(ConcurrencyLimited):
        await here.admit(turn("later"))


async def test_a_turn_that_nobody_ends_ends_with_its_lease(gates, clock):
    replica, (here, there) = gates
    await replica.limit(max_concurrent_turns=1)
    await here.admit(turn("r1", lease_seconds=60))
    clock.advance(59)
    with pytest.raises(ConcurrencyLimited):
        await there.admit(turn("r2"))
    clock.advance(1)
    await there.admit(turn("r2"))
    await here.end(turn("r1").turn_key, "one")
    with pytest.raises(ConcurrencyLimited):
        await here.admit(turn("r3"))


async def test_a_repeated_call_counts_once_and_a_second_run_is_refused(gates):
    replica, (here, there) = gates
    await replica.limit(max_concurrent_turns=2, requests_per_minute=2)
    assert await here.admit(turn("r1")) == await there.admit(turn("r1"))
    with pytest.raises(StateForbids):
        await there.admit(turn("r1", run="two"))
    await there.end(turn("r1").turn_key, "two")
    await here.admit(turn("r2"))
    with pytest.raises(RateLimited):
        await here.admit(turn("r3"))


async def test_one_subjects_limit_leaves_another_alone(gates):
    replica, (here, _) = gates
    await replica.limit(key=USER, requests_per_minute=1)
    await here.admit(turn("r1"))
    await here.admit(turn("r2", BOB))
    with pytest.raises(RateLimited):
        await here.admit(turn("r3"))


async def test_the_widest_subject_without_room_is_named_and_none_is_counted(gates):
    replica, (here, _) = gates
    await replica.limit(key=USER, max_concurrent_turns=1)
    await replica.limit(key=TENANT, max_concurrent_turns=2)
    await here.admit(turn("r1"))
    with pytest.raises(ConcurrencyLimited) as refused:
        await here.admit(turn("r2"))
    assert refused.value.metadata["subject"] == "user/ada"
    await here.admit(turn("r3", BOB))
    with pytest.raises(ConcurrencyLimited) as refused:
        await here.admit(turn("r4"))
    assert refused.value.metadata["subject"] == "tenant/acme"
