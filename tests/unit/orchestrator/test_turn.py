import asyncio

import pytest
from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.attempt import AttemptKind, AttemptOutcome
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.cacheable import CacheScope
from parley_services.kit.chat.message import Message, ResponseFormat, ResponseFormatType, Role, Tool
from parley_services.kit.errors import (
    BudgetExhausted,
    DeadlineExceeded,
    DependencyUnavailable,
    GuardrailBlocked,
    KeyInvalid,
    KeyMissing,
    NotFound,
    Overloaded,
    ProviderUnavailable,
    RateLimited,
    ScopeMissing,
)
from parley_services.orchestrator.admission.request import CacheMode
from parley_services.orchestrator.events import (
    Completed,
    Degraded,
    Delta,
    FormatOutcome,
    Intervened,
    Switched,
    TurnStage,
)
from parley_services.orchestrator.values.records import NewAnswer, Outcome, Settlement
from parley_services.orchestrator.values.router import (
    AttemptEnded,
    AttemptsLost,
    Reasoning,
    RouteChosen,
    RouteSwitched,
)

from tests.support.turns import (
    AWAY,
    Bench,
    FakeAccounting,
    FakeCache,
    FakeGuardrails,
    FakePrompts,
    MemoryWriter,
    ScriptedRouter,
    Snapshot,
    attempt,
    cancel,
    kinds_of,
    request,
    start,
    text_of,
)
from tests.support.waiting import until

JSON = ResponseFormat(type=ResponseFormatType.JSON_OBJECT)


async def test_a_turn_streams_then_books():
    bench = Bench("Because ", "of ", "Rayleigh.")
    events = await bench.run()
    completed = events[-1]
    assert kinds_of(events) == ["Started", "Delta", "Completed"]
    assert text_of(events) == "Because of Rayleigh."
    assert completed.source is AnswerSource.MODEL
    assert (completed.cost_nano_usd, completed.attempt_count) == (1000, 1)
    assert [timing.stage for timing in completed.timings] == [
        TurnStage.ADMISSION,
        TurnStage.PROMPT,
        TurnStage.CACHE,
        TurnStage.GENERATION,
    ]
    (settlement,) = bench.writer.of(Settlement)
    assert (settlement.reservation_id, len(settlement.attempts)) == ("r1", 1)
    (stored,) = bench.writer.of(NewAnswer)
    assert (stored.text, stored.answer.text) == ("Why is the sky blue?", "Because of Rayleigh.")
    (outcome,) = bench.writer.of(Outcome)
    assert (outcome.error_reason, outcome.cost_nano_usd) == ("", 1000)


async def test_the_call_carries_prompt_history_and_merged_parameters():
    bench = Bench("x")
    earlier = Message(role=Role.USER, text="Hi")
    await bench.run(request(history=(earlier,), model="large"))
    (call,) = bench.router.calls
    assert (call.system_text, call.model) == ("Be kind.", "large")
    assert [message.text for message in call.messages] == ["Hi", "Why is the sky blue?"]
    assert call.parameters.temperature == 0.5


class TestAdmission:
    async def test_a_missing_key(self):
        _, error = await Bench("x").run_until_error(secret="")
        assert isinstance(error, KeyMissing)

    async def test_a_wrong_key(self):
        _, error = await Bench("x").run_until_error(secret="other")
        assert isinstance(error, KeyInvalid)

    async def test_a_key_is_asked_for_once_while_it_may_be_kept(self):
        bench = Bench("x")
        await bench.run()
        await bench.run()
        assert bench.accounting.authenticated == 1

    async def test_a_key_that_may_not_act_for_others(self):
        bench = Bench("x", accounting=FakeAccounting(may_act_for_users=False))
        _, error = await bench.run_until_error(request(user_id="somebody"))
        assert isinstance(error, ScopeMissing)

    async def test_the_named_user_is_charged(self):
        bench = Bench("x")
        await bench.run(request(user_id="somebody"))
        assert bench.accounting.reserved[0].subject.user_id == "somebody"

    async def test_an_unknown_model_is_refused_before_anything_is_reserved(self):
        bench = Bench("x")
        _, error = await bench.run_until_error(request(model="no-such"))
        assert isinstance(error, NotFound)
        assert bench.accounting.reserved == []

    async def test_a_group_is_priced_as_the_model_that_stands_for_it(self):
        bench = Bench("x")
        await bench.run(request(model="cheap"))
        assert bench.accounting.reserved[0].model == "small"
        assert bench.router.calls[0].model == "cheap"

    async def test_a_blocked_input_gives_the_reservation_back(self):
        bench = Bench("x", guardrails=FakeGuardrails(blocks=True))
        events, error = await bench.run_until_error()
        assert isinstance(error, GuardrailBlocked)
        assert error.metadata["rule_id"] == "injection.test"
        assert (events, bench.router.calls) == ([], [])
        (settlement,) = bench.writer.of(Settlement)
        assert (settlement.attempts, settlement.source) == ((), AnswerSource.UNSPECIFIED)

    async def test_a_refused_reservation_leaves_nothing_to_give_back(self):
        refusal = RateLimited("Too many requests: wait.", retry_after_seconds=2.0)
        bench = Bench("x", accounting=FakeAccounting(refusal=refusal))
        _, error = await bench.run_until_error()
        assert error is refusal
        assert bench.writer.records == []
        assert bench.writer.begun == {}

    async def test_a_cancel_during_the_check_gives_the_reservation_back(self):
        bench = Bench("x", guardrails=FakeGuardrails(waits=asyncio.Event()))
        task, _ = await start(bench)
        await until(lambda: bench.accounting.reserved)
        await cancel(task)
        assert len(bench.writer.of(Settlement)) == 1

    async def test_a_turn_is_noted_before_money_is_set_aside_and_until_it_is_settled(self):
        writer = MemoryWriter()
        noted = []

        class Accounting(FakeAccounting):
            async def reserve(self, request, *, timeout_seconds):
                noted.extend(writer.begun.values())
                return await super().reserve(request, timeout_seconds=timeout_seconds)

        bench = Bench("x", writer=writer, accounting=Accounting())
        await bench.run()
        (turn,) = noted
        assert turn.request_id == bench.writer.of(Settlement)[0].request_id
        assert turn.reservation_id == bench.accounting.reserved[0].reservation_id != ""
        assert writer.begun == {}

    async def test_full_books_refuse_new_turns(self):
        bench = Bench("x", writer=MemoryWriter(full=Overloaded("Full: wait.")))
        _, error = await bench.run_until_error()
        assert isinstance(error, Overloaded)

    async def test_only_redacted_text_goes_on(self):
        bench = Bench("x", guardrails=FakeGuardrails(redactions={"123-45-6789": "[REDACTED]"}))
        events = await bench.run(
            request(
                "My SSN is 123-45-6789",
                history=(Message(role=Role.USER, text="It was 123-45-6789"),),
                context_documents=("About 123-45-6789",),
            )
        )
        (call,) = bench.router.calls
        everything = f"{call} {bench.prompts.rendered} {bench.cache.looked_up}"
        assert "123-45-6789" not in everything
        assert any(isinstance(event, Intervened) for event in events)

    async def test_a_spent_deadline(self):
        _, error = await Bench("x").run_until_error(seconds=0.0)
        assert isinstance(error, DeadlineExceeded)


class TestReuse:
    async def test_a_hit_is_replayed_and_costs_nothing(self):
        bench = Bench("never", cache=FakeCache(answer="Cached."))
        events = await bench.run()
        completed = events[-1]
        assert text_of(events) == "Cached."
        assert bench.router.calls == []
        assert completed.source is AnswerSource.CACHE_EXACT
        assert (completed.cost_nano_usd, completed.saved_cost_nano_usd) == (0, 700)
        (settlement,) = bench.writer.of(Settlement)
        assert settlement.source is AnswerSource.CACHE_EXACT
        assert settlement.saved_cost_nano_usd == 700
        assert bench.writer.of(NewAnswer) == []

    @pytest.mark.parametrize(
        ("fields", "reads", "writes"),
        [
            ({}, True, True),
            ({"cache_mode": CacheMode.BYPASS}, False, False),
            ({"cache_mode": CacheMode.REFRESH}, False, True),
            ({"tools": (Tool(name="clock"),)}, False, False),
        ],
    )
    async def test_what_may_be_reused(self, fields, reads, writes):
        bench = Bench("x")
        await bench.run(request(**fields))
        assert bool(bench.cache.looked_up) == reads
        assert bool(bench.writer.of(NewAnswer)) == writes

    async def test_a_template_may_forbid_it(self):
        bench = Bench("x", prompts=FakePrompts(scope=CacheScope.NONE))
        await bench.run()
        assert (bench.cache.looked_up, bench.writer.of(NewAnswer)) == ([], [])

    async def test_users_share_only_where_the_template_says_so(self):
        for scope, shared in ((CacheScope.TENANT, True), (CacheScope.USER, False)):
            bench = Bench("x", prompts=FakePrompts(scope=scope))
            await bench.run(request(user_id="a"))
            await bench.run(request(user_id="b"))
            first, second = (partition for partition, _, _ in bench.cache.looked_up)
            assert (first == second) is shared

    @pytest.mark.parametrize(
        "other",
        [
            {"history": (Message(role=Role.USER, text="Earlier"),)},
            {"variables": {"tone": "formal"}},
            {"context_documents": ("A document",)},
            {"model": "large"},
            {"response_format": JSON},
        ],
    )
    async def test_other_circumstances_are_another_partition(self, other):
        bench = Bench("{}")
        await bench.run(request())
        await bench.run(request(**other))
        first, second = (partition for partition, _, _ in bench.cache.looked_up)
        assert first != second

    async def test_a_stopped_answer_is_not_kept(self):
        bench = Bench("fine ", "BAD", guardrails=FakeGuardrails(stop_at="BAD"))
        await bench.run()
        assert bench.writer.of(NewAnswer) == []

    async def test_an_answer_of_a_fallback_route_is_not_kept(self):
        fallback = attempt(number=1, kind=AttemptKind.FALLBACK)
        bench = Bench("x", AttemptEnded(fallback))
        await bench.run()
        assert bench.writer.of(NewAnswer) == []


class TestGeneration:
    async def test_the_guardrails_stop_an_answer(self):
        guardrails = FakeGuardrails(stop_at="BAD")
        bench = Bench("fine ", "BAD", asyncio.Event(), guardrails=guardrails)
        events = await bench.run()
        completed = events[-1]
        assert text_of(events) == "fine "
        assert completed.finish_reason is FinishReason.CONTENT_FILTER
        assert completed.findings[-1].rule_id == "banned.test"
        assert bench.router.closed == 1
        (settlement,) = bench.writer.of(Settlement)
        (cut,) = settlement.attempts
        assert (cut.outcome, cut.usage.estimated) == (AttemptOutcome.CANCELLED, True)
        assert cut.usage.output_token_count > 0

    async def test_a_cancelled_turn_is_booked_by_our_own_count(self):
        forever = asyncio.Event()
        bench = Bench("one two three", forever)
        task, events = await start(bench)
        await until(lambda: text_of(events))
        await cancel(task)
        (settlement,) = bench.writer.of(Settlement)
        (cut,) = settlement.attempts
        assert cut.usage.output_token_count == 3
        assert cut.usage.input_token_count > 0
        assert cut.usage.estimated
        assert bench.router.closed == 1
        (outcome,) = bench.writer.of(Outcome)
        assert outcome.error_reason == "CANCELLED"

    async def test_reasoning_is_counted_too(self):
        bench = Bench(Reasoning("one two"), "three", asyncio.Event())
        task, events = await start(bench)
        await until(lambda: text_of(events))
        await cancel(task)
        (settlement,) = bench.writer.of(Settlement)
        usage = settlement.attempts[0].usage
        assert (usage.output_token_count, usage.reasoning_token_count) == (3, 2)

    async def test_both_calls_of_a_cancelled_hedge_are_booked(self):
        hedge = RouteChosen(provider="p", model="large", attempt_number=2, is_hedge=True)
        bench = Bench(hedge, "one two three", asyncio.Event())
        task, events = await start(bench)
        await until(lambda: text_of(events))
        await cancel(task)
        (settlement,) = bench.writer.of(Settlement)
        first, second = settlement.attempts
        assert (first.number, first.kind) == (1, AttemptKind.PRIMARY)
        assert (second.number, second.kind) == (2, AttemptKind.HEDGE)
        assert [each.usage.output_token_count for each in settlement.attempts] == [0, 3]
        assert all(each.usage.input_token_count for each in settlement.attempts)

    async def test_a_hedge_that_lost_is_not_open_any_more(self):
        hedge = RouteChosen(provider="p", model="large", attempt_number=2, is_hedge=True)
        lost = AttemptEnded(
            attempt(kind=AttemptKind.HEDGE, outcome=AttemptOutcome.CANCELLED, number=2)
        )
        goes_on = RouteChosen(provider="simulated", model="small", attempt_number=1)
        bench = Bench(hedge, lost, goes_on, "one two three", asyncio.Event())
        task, events = await start(bench)
        await until(lambda: text_of(events))
        await cancel(task)
        (settlement,) = bench.writer.of(Settlement)
        assert [each.number for each in settlement.attempts] == [2, 1]
        assert settlement.attempts[1].usage.output_token_count == 3

    async def test_the_lost_attempts_of_a_failed_call_are_booked(self):
        error = ProviderUnavailable("No provider answered: try again later.")
        error.__cause__ = AttemptsLost((attempt(outcome=AttemptOutcome.FAILED),))
        bench = Bench(error)
        _, raised = await bench.run_until_error()
        assert isinstance(raised, ProviderUnavailable)
        assert raised.retry_after_seconds
        (settlement,) = bench.writer.of(Settlement)
        assert [each.outcome for each in settlement.attempts] == [AttemptOutcome.FAILED]
        (outcome,) = bench.writer.of(Outcome)
        assert outcome.error_reason == "ERROR_REASON_PROVIDER_UNAVAILABLE"

    async def test_another_route_goes_on(self):
        switch = switched(reason="stalled")
        events = await Bench("one ", switch, "two").run()
        assert text_of(events) == "one two"
        assert [e.reason for e in events if isinstance(e, Switched)] == ["stalled"]

    async def test_a_restart_says_so_and_keeps_only_the_new_text(self):
        switch = switched(reason="cut", restarts=True)
        bench = Bench("old ", switch, "new")
        events = await bench.run()
        restart = next(i for i, e in enumerate(events) if isinstance(e, Switched))
        assert events[restart].restarts
        assert text_of(events[restart:]) == "new"
        (stored,) = bench.writer.of(NewAnswer)
        assert stored.answer.text == "new"

    async def test_the_budget_ends_in_the_middle(self):
        accounting = FakeAccounting(covered=2, extension=BudgetExhausted("Spent: wait."))
        bench = Bench("word " * 4, "word " * 4, asyncio.Event(), accounting=accounting)
        events = await bench.run()
        assert events[-1].finish_reason is FinishReason.BUDGET
        assert len(bench.accounting.extended) == 1

    async def test_an_extension_lets_it_go_on(self):
        accounting = FakeAccounting(covered=2, extension=1000)
        events = await Bench("word " * 4, "word " * 4, accounting=accounting).run()
        assert events[-1].finish_reason is FinishReason.STOP


def switched(*, reason, restarts=False):
    return RouteSwitched(
        from_model="large",
        to_model="small",
        to_provider="p",
        reason=reason,
        restarts=restarts,
        attempt_number=2,
    )


class TestFormat:
    async def test_valid_json_passes(self):
        events = await Bench('{"a": ', "1}").run(request(response_format=JSON))
        assert text_of(events) == '{"a": 1}'
        assert events[-1].format_outcome is FormatOutcome.VALID

    async def test_a_broken_answer_is_sent_back_once(self):
        router = ScriptedRouter('{"a": ', again=[('{"a": 1}',)])
        guardrails = FakeGuardrails(format_errors=["It ends too early."])
        bench = Bench(router=router, guardrails=guardrails)
        events = await bench.run(request(response_format=JSON))
        assert text_of(events) == '{"a": 1}'
        assert events[-1].format_outcome is FormatOutcome.REPAIRED
        assert events[-1].attempt_count == 2
        repair = router.calls[1]
        assert (repair.kind, repair.first_attempt_number) == (AttemptKind.REPAIR, 2)
        assert "It ends too early." in repair.messages[-1].text
        (outcome,) = bench.writer.of(Outcome)
        assert outcome.format_failed

    async def test_twice_broken_is_an_error_and_shows_nothing(self):
        guardrails = FakeGuardrails(format_errors=["Broken.", "Broken."])
        bench = Bench("{", guardrails=guardrails)
        events, error = await bench.run_until_error(request(response_format=JSON))
        assert error.reason == "ERROR_REASON_ANSWER_MALFORMED"
        assert text_of(events) == ""
        (settlement,) = bench.writer.of(Settlement)
        assert len(settlement.attempts) == 2

    async def test_the_template_may_ask_for_json(self):
        bench = Bench("{}", prompts=FakePrompts(response_format=JSON))
        events = await bench.run()
        assert events[-1].format_outcome is FormatOutcome.VALID
        assert bench.router.calls[0].response_format == JSON


class TestBudgetPolicy:
    async def test_downgrade(self):
        accounting = FakeAccounting(decision=BudgetDecision.DOWNGRADE, downgrade_model="small")
        bench = Bench("x", accounting=accounting)
        events = await bench.run()
        (switched,) = [event for event in events if isinstance(event, Switched)]
        assert (switched.to_model, switched.reason) == ("small", "budget_downgrade")
        assert bench.router.calls[0].model == "small"
        assert events[-1].budget_decision is BudgetDecision.DOWNGRADE
        assert bench.writer.of(NewAnswer) == []

    async def test_cache_only_with_a_hit(self):
        accounting = FakeAccounting(decision=BudgetDecision.CACHE_ONLY)
        events = await Bench("x", accounting=accounting, cache=FakeCache(answer="Cached.")).run()
        assert text_of(events) == "Cached."

    async def test_cache_only_without_a_hit(self):
        accounting = FakeAccounting(decision=BudgetDecision.CACHE_ONLY)
        bench = Bench("x", accounting=accounting)
        _, error = await bench.run_until_error()
        assert isinstance(error, BudgetExhausted)
        assert bench.router.calls == []
        assert len(bench.writer.of(Settlement)) == 1


class TestAPeerIsAway:
    async def test_guardrails_at_the_input(self):
        events = await Bench("x", guardrails=FakeGuardrails(away=True)).run()
        assert [e.component for e in events if isinstance(e, Degraded)] == ["guardrails"]

    async def test_guardrails_at_the_input_with_fail_closed(self):
        bench = Bench("x", guardrails=FakeGuardrails(away=True), fail_closed=True)
        _, error = await bench.run_until_error()
        assert isinstance(error, DependencyUnavailable)
        assert len(bench.writer.of(Settlement)) == 1

    async def test_the_baseline_still_blocks(self):
        bench = Bench(
            "x", guardrails=FakeGuardrails(away=True), baseline=FakeGuardrails(blocks=True)
        )
        _, error = await bench.run_until_error()
        assert isinstance(error, GuardrailBlocked)

    async def test_guardrails_in_the_middle_of_the_answer(self):
        bench = Bench("one ", "two ", "three", guardrails=FakeGuardrails(leaves_at="two"))
        events = await bench.run()
        assert text_of(events) == "one two three"
        assert [d.component for d in events[-1].degradations] == ["guardrails"]
        assert bench.writer.of(NewAnswer) == []

    async def test_the_baseline_stops_what_the_guardrails_left(self):
        bench = Bench(
            "one ",
            "two ",
            "BAD",
            guardrails=FakeGuardrails(leaves_at="two"),
            baseline=FakeGuardrails(stop_at="BAD"),
        )
        events = await bench.run()
        assert text_of(events) == "one two "
        assert events[-1].finish_reason is FinishReason.CONTENT_FILTER

    async def test_guardrails_in_the_middle_with_fail_closed(self):
        bench = Bench("one ", "two", guardrails=FakeGuardrails(leaves_at="two"), fail_closed=True)
        events, error = await bench.run_until_error()
        assert isinstance(error, ProviderUnavailable)
        assert text_of(events) == "one "

    async def test_semantic_cache(self):
        events = await Bench("x", cache=FakeCache(away=True)).run()
        assert [e.component for e in events if isinstance(e, Degraded)] == ["semantic_cache"]
        assert text_of(events) == "x"

    async def test_prompt_registry_with_a_snapshot(self):
        prompt = await FakePrompts().render(await _prompt_request(), timeout_seconds=1)
        bench = Bench("x", prompts=FakePrompts(away=True), snapshot=Snapshot(prompt))
        events = await bench.run()
        assert [e.component for e in events if isinstance(e, Degraded)] == ["prompt_registry"]

    async def test_prompt_registry_without_a_snapshot(self):
        bench = Bench("x", prompts=FakePrompts(away=True))
        _, error = await bench.run_until_error()
        assert error is AWAY
        assert len(bench.writer.of(Settlement)) == 1

    async def test_accounting_lets_a_known_key_go_on_for_a_while(self):
        bench = Bench("x", turn_limit=2)
        await bench.run()
        bench.accounting.away = True
        bench.accounting.max_age_seconds = 0
        for _ in range(2):
            events = await bench.run()
            assert [e.component for e in events if isinstance(e, Degraded)] == ["accounting"]
        _, error = await bench.run_until_error()
        assert error is AWAY

    async def test_accounting_away_under_a_hard_budget(self):
        bench = Bench("x", accounting=FakeAccounting(has_hard_budget=True))
        await bench.run()
        bench.accounting.away = True
        _, error = await bench.run_until_error()
        assert error is AWAY
        # It may hold a reservation all the same.
        ended = bench.writer.of(Settlement)[1]
        assert (ended.attempts, ended.source) == ((), AnswerSource.UNSPECIFIED)

    async def test_accounting_away_and_the_key_unknown(self):
        _, error = await Bench("x", accounting=FakeAccounting(away=True)).run_until_error()
        assert error is AWAY

    async def test_model_router_with_a_cached_answer_at_a_lower_bar(self):
        bench = Bench(AWAY, cache=FakeCache(fallback_answer="Nearly."))
        events = await bench.run()
        assert text_of(events) == "Nearly."
        assert events[-1].source is AnswerSource.CACHE_FALLBACK

    async def test_model_router_without_one(self):
        events, error = await Bench(AWAY).run_until_error()
        assert isinstance(error, ProviderUnavailable)
        assert error.retry_after_seconds
        assert kinds_of(events) == ["Started"]

    async def test_no_fallback_after_text_was_sent(self):
        bench = Bench("half ", AWAY, cache=FakeCache(fallback_answer="Nearly."))
        events, error = await bench.run_until_error()
        assert isinstance(error, ProviderUnavailable)
        assert text_of(events) == "half "


class TestCoalescing:
    async def test_identical_turns_make_one_call(self):
        go = asyncio.Event()
        bench = Bench("one ", go, "two")
        runs = [await start(bench, request(request_id=_uuid(n))) for n in range(100)]
        await until(lambda: all(text_of(events) for _, events in runs))
        go.set()
        results = await asyncio.gather(*(task for task, _ in runs))
        assert len(bench.router.calls) == 1
        assert {text_of(events) for events in results} == {"one two"}
        sources = [events[-1].source for events in results]
        assert sources.count(AnswerSource.MODEL) == 1
        assert sources.count(AnswerSource.COALESCED) == 99
        settlements = bench.writer.of(Settlement)
        assert len(settlements) == 100
        assert sum(len(each.attempts) for each in settlements) == 1

    async def test_a_late_one_gets_the_prefix_first(self):
        go = asyncio.Event()
        bench = Bench("one ", go, "two")
        first, early = await start(bench, request(request_id=_uuid(1)))
        await until(lambda: text_of(early))
        second, late = await start(bench, request(request_id=_uuid(2)))
        await until(lambda: text_of(late))
        assert text_of(late) == "one "
        go.set()
        await asyncio.gather(first, second)
        assert text_of(late) == "one two"

    async def test_the_first_one_leaving_does_not_end_the_others(self):
        go = asyncio.Event()
        bench = Bench("one ", go, "two")
        first, early = await start(bench, request(request_id=_uuid(1)))
        second, late = await start(bench, request(request_id=_uuid(2)))
        await until(lambda: text_of(early) and text_of(late))
        await cancel(first)
        go.set()
        await second
        assert text_of(late) == "one two"
        paid = [each for each in bench.writer.of(Settlement) if each.attempts]
        assert [each.request_id for each in paid] == [_uuid(1)]

    async def test_the_last_one_leaving_ends_it(self):
        bench = Bench("one ", asyncio.Event())
        runs = [await start(bench, request(request_id=_uuid(n))) for n in range(2)]
        await until(lambda: all(text_of(events) for _, events in runs))
        for task, _ in runs:
            await cancel(task)
        assert bench.router.closed == 1

    async def test_a_failure_reaches_all(self):
        go = asyncio.Event()
        bench = Bench(go, AWAY)
        tasks = [
            asyncio.create_task(bench.run_until_error(request(request_id=_uuid(n))))
            for n in range(3)
        ]
        await until(lambda: len(bench.cache.looked_up) == 3)
        go.set()
        errors = [error for _, error in await asyncio.gather(*tasks)]
        assert all(isinstance(error, ProviderUnavailable) for error in errors)
        assert len(bench.router.calls) == 1

    async def test_turns_of_other_tenants_or_texts_are_not_joined(self):
        go = asyncio.Event()
        bench = Bench("x", go)
        first, _ = await start(bench, request("One?", request_id=_uuid(1)))
        second, _ = await start(bench, request("Two?", request_id=_uuid(2)))
        await until(lambda: len(bench.router.calls) == 2)
        go.set()
        await asyncio.gather(first, second)

    async def test_a_flight_that_ends_too_early_is_not_joined(self):
        go = asyncio.Event()
        bench = Bench("x", go, coalesce_wait_seconds=0)
        first, _ = await start(bench, request(request_id=_uuid(1)), seconds=5)
        second, _ = await start(bench, request(request_id=_uuid(2)), seconds=60)
        await until(lambda: len(bench.router.calls) == 2)
        go.set()
        await asyncio.gather(first, second)


class TestCoalescingOverReplicas:
    """Two benches are two replicas; they share a cache."""

    async def test_identical_turns_make_one_call(self):
        go = asyncio.Event()
        cache = FakeCache()
        leader, other = Bench("one ", go, "two", cache=cache), Bench("again", cache=cache)
        first, early = await start(leader, request(request_id=_uuid(0)))
        await until(lambda: text_of(early))
        runs = [await start(other, request(request_id=_uuid(n))) for n in range(1, 100)]
        await until(lambda: len(cache.looked_up) > 100)
        go.set()
        await first
        (stored,) = leader.writer.of(NewAnswer)
        assert stored.lock_id == request().text
        cache.answer = stored.answer.text
        results = await asyncio.gather(*(task for task, _ in runs))
        assert {text_of(events) for events in results} == {"one two"}
        assert {events[-1].source for events in results} == {AnswerSource.CACHE_EXACT}
        assert (len(leader.router.calls), len(other.router.calls)) == (1, 0)

    async def test_a_failure_hands_over(self):
        go = asyncio.Event()
        cache = FakeCache()
        leader, other = Bench(go, AWAY, cache=cache), Bench("again", cache=cache)
        failing = asyncio.create_task(leader.run_until_error(request(request_id=_uuid(0))))
        await until(lambda: leader.router.calls)
        waiting, _ = await start(other, request(request_id=_uuid(1)))
        await until(lambda: len(cache.looked_up) > 2)
        go.set()
        await failing
        assert text_of(await waiting) == "again"

    async def test_a_client_that_leaves_hands_over(self):
        cache = FakeCache()
        leader = Bench("one ", asyncio.Event(), cache=cache)
        first, early = await start(leader, request(request_id=_uuid(0)))
        await until(lambda: text_of(early))
        waiting, _ = await start(Bench("again", cache=cache), request(request_id=_uuid(1)))
        await cancel(first)
        assert text_of(await waiting) == "again"

    async def test_who_has_waited_long_enough_asks_a_model(self):
        cache = FakeCache()
        first, early = await start(
            Bench("one ", asyncio.Event(), cache=cache), request(request_id=_uuid(0))
        )
        await until(lambda: text_of(early))
        other = Bench("again", cache=cache, coalesce_wait_seconds=0.01)
        assert text_of(await other.run(request(request_id=_uuid(1)))) == "again"
        await cancel(first)

    async def test_leaving_while_waiting_ends_the_looking(self):
        cache = FakeCache()
        first, early = await start(
            Bench("one ", asyncio.Event(), cache=cache), request(request_id=_uuid(0))
        )
        await until(lambda: text_of(early))
        other = Bench("again", cache=cache)
        waiting, _ = await start(other, request(request_id=_uuid(1)))
        await until(lambda: len(cache.looked_up) > 2)
        await cancel(waiting)
        await cancel(first)
        assert (other.router.calls, other.stages.reuse.coalescing._waits) == ([], {})

    async def test_a_turn_that_may_not_share_takes_no_lock(self):
        cache = FakeCache()
        await Bench("x", cache=cache, prompts=FakePrompts(scope=CacheScope.NONE)).run()
        assert cache.locks == {}


async def test_an_unexpected_error_still_books():
    bench = Bench("half ", RuntimeError("a bug"))
    events, error = await bench.run_until_error()
    assert isinstance(error, RuntimeError)
    assert text_of(events) == "half "
    assert len(bench.writer.of(Settlement)) == 1
    (outcome,) = bench.writer.of(Outcome)
    assert outcome.error_reason == "INTERNAL"


async def test_a_burst_leaves_in_few_deltas_and_a_slow_model_token_by_token():
    burst = await Bench(*"abcdefgh").run()
    assert sum(isinstance(event, Delta) for event in burst) <= 2
    slow = await Bench("a", 0.02, "b", 0.02, "c").run()
    assert [event.text for event in slow if isinstance(event, Delta)] == ["a", "b", "c"]


async def test_text_that_piles_up_comes_as_one_delta():
    bench = Bench(*"abcdefgh")
    deltas = []
    async for event in bench.turn().events():
        if not isinstance(event, Completed):
            deltas.append(event)
            await asyncio.sleep(0.01)  # A reader that is slower than the model.
    texts = [event.text for event in deltas if hasattr(event, "text")]
    assert "".join(texts) == "abcdefgh"
    assert len(texts) < 8


def _uuid(number):
    return f"00000000-0000-4000-8000-{number:012d}"


async def _prompt_request():
    prompts = FakePrompts()
    await Bench("x", prompts=prompts).run()
    return prompts.rendered[0]
