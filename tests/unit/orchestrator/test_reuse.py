"""Which answers are kept, by what their template says."""

from itertools import combinations, product

import pytest
from parley_services.kit.chat.attempt import AttemptKind, AttemptOutcome
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.chat.message import (
    SamplingParameters,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
)
from parley_services.orchestrator.admission.request import CacheMode
from parley_services.orchestrator.values.records import NewAnswer
from parley_services.orchestrator.values.router import AttemptEnded, ToolCallMade

from tests.support.turns import (
    Bench,
    FakeAccounting,
    FakeCache,
    FakeGuardrails,
    FakePrompts,
    Snapshot,
    attempt,
    kinds_of,
    request,
)

CLOCK = Tool(name="clock")
EVERYTHING = frozenset(ExtraCacheable) - {ExtraCacheable.UNSPECIFIED}
ALLOWED = [
    frozenset(some) for count in range(4) for some in combinations(sorted(EVERYTHING), count)
]


@pytest.mark.parametrize(
    "allowed", ALLOWED, ids=lambda kinds: "+".join(each.name for each in sorted(kinds)) or "none"
)
@pytest.mark.parametrize(
    ("lowered", "fell_back", "degraded", "has_tools"), list(product((False, True), repeat=4))
)
async def test_an_answer_is_kept_if_all_that_is_unusual_about_it_is_allowed(
    allowed, lowered, fell_back, degraded, has_tools
):
    unusual = {
        kind
        for kind, is_so in (
            (ExtraCacheable.DOWNGRADED, lowered or fell_back),
            (ExtraCacheable.DEGRADED, degraded),
            (ExtraCacheable.TOOLS, has_tools),
        )
        if is_so
    }
    decision = BudgetDecision.DOWNGRADE if lowered else BudgetDecision.ALLOW
    bench = Bench(
        "x",
        AttemptEnded(attempt(kind=AttemptKind.FALLBACK if fell_back else AttemptKind.PRIMARY)),
        accounting=FakeAccounting(decision=decision, downgrade_model="small"),
        cache=FakeCache(away=degraded),
        prompts=FakePrompts(extra_cacheable=allowed),
    )
    await bench.run(request(tools=(CLOCK,) if has_tools else ()))
    assert bool(bench.writer.of(NewAnswer)) == (unusual <= allowed)


@pytest.mark.parametrize(
    "kind", [AttemptKind.FALLBACK, AttemptKind.CONTINUATION, AttemptKind.HEDGE]
)
@pytest.mark.parametrize("allowed", [False, True])
async def test_what_another_than_the_first_model_wrote_is_downgraded(kind, allowed):
    also = frozenset({ExtraCacheable.DOWNGRADED}) if allowed else frozenset()
    failed = attempt(number=1, outcome=AttemptOutcome.FAILED)
    bench = Bench(
        "x",
        AttemptEnded(failed),
        AttemptEnded(attempt(number=2, kind=kind)),
        prompts=FakePrompts(extra_cacheable=also),
    )
    await bench.run()
    assert bool(bench.writer.of(NewAnswer)) is allowed


async def test_a_downgraded_answer_is_kept_where_turns_of_its_version_look():
    accounting = FakeAccounting()
    prompts = FakePrompts(extra_cacheable=frozenset({ExtraCacheable.DOWNGRADED}))
    bench = Bench("x", accounting=accounting, prompts=prompts)
    await bench.run()
    accounting.decision, accounting.downgrade_model = BudgetDecision.CACHE_FIRST, "small"
    await bench.run()
    as_asked, downgraded = bench.writer.of(NewAnswer)
    assert as_asked.partition == downgraded.partition
    # Who reads it sees who wrote it.
    assert downgraded.answer.model == "small"


@pytest.mark.parametrize(
    "parts",
    [
        {"accounting": "away"},
        {"cache": FakeCache(away=True)},
        {"prompts": "away"},
    ],
    ids=["accounting", "semantic_cache", "prompt_registry"],
)
async def test_an_answer_given_while_a_service_was_away_may_be_kept(parts):
    prompts = FakePrompts(extra_cacheable=frozenset({ExtraCacheable.DEGRADED}))
    rendered = Bench("x", prompts=prompts)
    await rendered.run()
    prompt = await prompts.render(prompts.rendered[0], timeout_seconds=1)
    accounting = FakeAccounting()
    bench = Bench(
        "x",
        accounting=accounting,
        cache=parts.get("cache"),
        prompts=FakePrompts(away="prompts" in parts, extra_cacheable=prompts.extra_cacheable),
        snapshot=Snapshot(prompt),
    )
    if "accounting" in parts:
        # Its key is known from an earlier turn.
        await bench.run(request(cache_mode=CacheMode.BYPASS))
        accounting.away = True
    events = await bench.run()
    assert events[-1].degradations
    assert len(bench.writer.of(NewAnswer)) == 1


@pytest.mark.parametrize(
    "guardrails",
    [FakeGuardrails(away=True), FakeGuardrails(leaves_at="y")],
    ids=["at the input", "at the output"],
)
async def test_nothing_is_kept_that_the_guardrails_service_did_not_pass(guardrails):
    bench = Bench("x", guardrails=guardrails, prompts=FakePrompts(extra_cacheable=EVERYTHING))
    if guardrails.leaves_at:
        bench = Bench("y", guardrails=guardrails, prompts=FakePrompts(extra_cacheable=EVERYTHING))
    events = await bench.run()
    assert [each.component for each in events[-1].degradations] == ["guardrails"]
    assert bench.writer.of(NewAnswer) == []


async def test_an_answer_that_calls_a_tool_is_not_kept_however_it_ends():
    call = ToolCall(id="1", name="clock", arguments_json="{}")
    bench = Bench(
        "Let me see.", ToolCallMade(call), prompts=FakePrompts(extra_cacheable=EVERYTHING)
    )
    events = await bench.run(request(tools=(CLOCK,)))
    assert "ToolCalled" in kinds_of(events)
    assert bench.writer.of(NewAnswer) == []


async def test_tools_and_their_choice_are_part_of_the_partition():
    bench = Bench("x", prompts=FakePrompts(extra_cacheable=EVERYTHING))
    never = ToolChoice(mode=ToolChoiceMode.NONE)
    for fields in (
        {},
        {"tools": (CLOCK,)},
        {"tools": (CLOCK, Tool(name="calendar"))},
        {"tools": (CLOCK,), "tool_choice": never},
    ):
        await bench.run(request(**fields))
    assert len({partition.fingerprint for partition, _, _ in bench.cache.looked_up}) == 4


@pytest.mark.parametrize(
    ("scope", "mode"),
    [(CacheScope.NONE, CacheMode.DEFAULT), (CacheScope.TENANT, CacheMode.BYPASS)],
)
async def test_it_never_widens_the_scope(scope, mode):
    prompts = FakePrompts(scope=scope, extra_cacheable=EVERYTHING)
    bench = Bench("x", prompts=prompts)
    await bench.run(request(cache_mode=mode, parameters=SamplingParameters(temperature=0.1)))
    assert (bench.cache.looked_up, bench.writer.of(NewAnswer)) == ([], [])
