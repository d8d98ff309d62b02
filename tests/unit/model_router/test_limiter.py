import asyncio

import pytest
from parley_services.model_router.route.limiter import Limiter, LimiterPolicy, NoPlace

from tests.support.clock import ManualClock
from tests.support.waiting import until


@pytest.fixture
def clock():
    return ManualClock()


def limiter(clock, **policy):
    return Limiter(LimiterPolicy(min_limit=1, **policy), clock)


async def test_calls_above_the_limit_wait_for_a_place(clock):
    made = limiter(clock, first_limit=1)
    await made.enter("a")
    waiting = asyncio.create_task(made.enter("a"))
    await asyncio.sleep(0)
    assert not waiting.done()
    made.leave()
    await waiting
    assert made.in_flight == 1


async def test_tenants_take_turns(clock):
    made = limiter(clock, first_limit=1)
    await made.enter("first")
    order = []

    async def call(tenant_id):
        await made.enter(tenant_id)
        order.append(tenant_id)
        made.leave()

    async with asyncio.TaskGroup() as group:
        for tenant_id in ["big"] * 5 + ["small"] * 2:
            group.create_task(call(tenant_id))
        await asyncio.sleep(0)
        made.leave()
    assert order == ["big", "small", "big", "small", "big", "big", "big"]


async def test_a_full_queue_refuses(clock):
    made = limiter(clock, first_limit=1, max_waiting=1)
    await made.enter("a")
    waiting = asyncio.create_task(made.enter("a"))
    await asyncio.sleep(0)
    with pytest.raises(NoPlace):
        await made.enter("b")
    made.leave()
    await waiting


async def test_nobody_waits_for_ever(clock):
    made = limiter(clock, first_limit=1, max_wait_seconds=0.01)
    await made.enter("a")
    with pytest.raises(NoPlace):
        await made.enter("a")
    made.leave()
    await made.enter("a")


async def test_who_gives_up_waiting_takes_no_place(clock):
    made = limiter(clock, first_limit=1)
    await made.enter("a")
    waiting = asyncio.create_task(made.enter("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    made.leave()
    assert made.in_flight == 0


async def test_a_place_that_comes_with_a_cancel_is_passed_on(clock):
    made = limiter(clock, first_limit=1)
    await made.enter("a")
    first, second = (asyncio.create_task(made.enter("a")) for _ in range(2))
    await asyncio.sleep(0)
    made.leave()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await until(second.done)
    assert made.in_flight == 1


async def test_the_limit_grows_while_it_is_used_and_answers_end_well(clock):
    made = limiter(clock, first_limit=4)
    for _ in range(20):
        for _ in range(3):
            await made.enter("a")
        for _ in range(3):
            made.leave(ended_well=True)
    assert made.limit > 4


async def test_an_idle_limit_stays(clock):
    made = limiter(clock, first_limit=8)
    for _ in range(100):
        await made.enter("a")
        made.leave(ended_well=True)
    assert made.limit == 8


async def test_too_much_lowers_the_limit_once_a_second(clock):
    made = limiter(clock, first_limit=10)
    for _ in range(3):
        await made.enter("a")
        made.leave(was_too_much=True)
    assert made.limit == 7
    clock.advance(1)
    await made.enter("a")
    made.leave(was_too_much=True)
    assert made.limit == 4


async def test_calls_beside_the_answers_are_dropped_first(clock):
    made = limiter(clock, first_limit=4)
    assert made.enter_shadow()
    await made.enter("a")
    assert not made.enter_shadow()


async def test_calls_beside_the_answers_take_no_place_of_theirs(clock):
    made = limiter(clock, first_limit=4)
    assert made.enter_shadow()
    for _ in range(4):
        await made.enter("a")
    assert made.in_flight == 4
    made.leave_shadow()
    assert made.in_flight == 4


async def test_a_place_is_not_given_to_whoever_was_just_cancelled(clock):
    made = limiter(clock, first_limit=1)
    await made.enter("a")
    waiting = [asyncio.create_task(made.enter(tenant_id)) for tenant_id in ("a", "a", "b")]
    await asyncio.sleep(0)
    for task in waiting[:2]:
        task.cancel()
    # The cancelled ones have not run yet.
    made.leave()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert made.in_flight == 1
    made.leave()
    assert made.in_flight == 0
    assert made.enter_now()


async def test_the_limit_grows_by_one_a_call_until_the_provider_first_refuses(clock):
    made = limiter(clock, first_limit=4)
    for _ in range(4):
        await made.enter("a")
    for _ in range(4):
        made.leave(ended_well=True)
    # The last ones to end found the route idle.
    assert made.limit == 6
    await made.enter("a")
    made.leave(was_too_much=True)
    grown = made.limit
    for _ in range(grown):
        await made.enter("a")
    for _ in range(grown):
        made.leave(ended_well=True)
    assert made.limit <= grown + 1
