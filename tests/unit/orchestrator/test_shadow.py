"""Arms that run beside an answer."""

import asyncio
from dataclasses import replace

from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.attempt import AttemptKind, AttemptOutcome
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType, SamplingParameters
from parley_services.kit.errors import Overloaded
from parley_services.orchestrator.events import Completed, Delta
from parley_services.orchestrator.values.prompts import ShadowArm
from parley_services.orchestrator.values.records import Outcome, Settlement, ShadowOutcome, Texts

from tests.support.turns import (
    Bench,
    FakeCache,
    FakeGuardrails,
    FakePrompts,
    ScriptedRouter,
    request,
)
from tests.support.waiting import until

ARM = ShadowArm(
    experiment_id="exp",
    arm="terse",
    version=3,
    system_text="Be short.",
    user_text="Why is the sky blue? In a word.",
    model="large",
    parameters=SamplingParameters(temperature=0.1),
    response_format=ResponseFormat(),
)


def bench(*script, again, arms=(ARM,), **parts):
    """A turn whose shadow arm is answered by *again*."""
    prompts = FakePrompts(shadow_arms=arms, retains_texts=parts.pop("retains_texts", False))
    return Bench(router=ScriptedRouter(*script, again=[again]), prompts=prompts, **parts)


async def shadow_of(a_bench):
    """Wait for the report of the shadow arm and return it."""
    await until(lambda: a_bench.writer.of(ShadowOutcome))
    (report,) = a_bench.writer.of(ShadowOutcome)
    return report


async def test_an_arm_runs_beside_the_answer_unseen():
    turn = bench("Because of ", "scattering.", again=("Scattering.",))
    events = await turn.run()
    report = await shadow_of(turn)
    assert "".join(e.text for e in events if isinstance(e, Delta)) == "Because of scattering."
    assert sum(isinstance(e, Completed) for e in events) == 1
    call = turn.router.calls[1]
    assert (call.kind, call.model, call.first_attempt_number) == (AttemptKind.SHADOW, "large", 1001)
    assert (call.system_text, call.messages[-1].text) == ("Be short.", ARM.user_text)
    assert call.parameters.temperature == 0.1
    outcome = report.outcome
    assert (outcome.experiment_id, outcome.arm, outcome.template_version) == ("exp", "terse", 3)
    assert outcome.finish_reason is FinishReason.STOP
    assert (report.output_text, report.answer_text) == ("Scattering.", "Because of scattering.")
    assert (report.answer.template_version, report.input_text) == (2, "")


async def test_an_arm_is_booked_apart_from_its_turn():
    turn = bench("one", again=("two",))
    await turn.run()
    await shadow_of(turn)
    own, shadow = turn.writer.of(Settlement)
    assert [each.kind for each in own.attempts] == [AttemptKind.PRIMARY]
    assert [(a.kind, a.number) for a in shadow.attempts] == [(AttemptKind.SHADOW, 1001)]
    assert (shadow.request_id, shadow.source) == (own.request_id, AnswerSource.UNSPECIFIED)


async def test_arms_without_room_are_dropped():
    turn = bench("one", again=("two",), shadow_concurrency=0)
    await turn.run()
    assert len(turn.router.calls) == 1


async def test_a_cached_answer_has_nothing_beside_it():
    turn = bench("one", again=("two",), cache=FakeCache(answer="Cached."))
    await turn.run()
    assert turn.router.calls == []


async def test_an_arm_that_the_router_refuses_is_not_held_against_it():
    turn = bench("one", again=(Overloaded("Busy.", retry_after_seconds=1.0),))
    await turn.run()
    await until(lambda: turn.router.closed == 2)
    assert turn.writer.of(ShadowOutcome) == []
    assert len(turn.writer.of(Settlement)) == 1


async def test_an_arm_that_the_guardrails_stop():
    turn = bench("one", again=("a banned word",), guardrails=FakeGuardrails(stop_at="banned"))
    await turn.run()
    report = await shadow_of(turn)
    assert report.outcome.guardrail_blocked
    assert report.output_text == "a "


async def test_a_malformed_answer_is_reported_and_not_repaired():
    arm = replace(ARM, response_format=ResponseFormat(type=ResponseFormatType.JSON_OBJECT))
    guardrails = FakeGuardrails(format_errors=["", "It ends too early."])
    turn = bench("one", again=("{",), arms=(arm,), guardrails=guardrails)
    await turn.run()
    report = await shadow_of(turn)
    assert (report.output_text, len(turn.router.calls)) == ("{", 2)


async def test_an_arm_ends_with_the_service_and_is_booked():
    turn = bench("one", again=("two three", asyncio.Event()))
    async with turn.shadows.running():
        await turn.run()
        await until(lambda: len(turn.router.calls) == 2)
        await asyncio.sleep(0.01)
    report = await shadow_of(turn)
    assert report.outcome.error_reason == "CANCELLED"
    (cut,) = turn.writer.of(Settlement)[1].attempts
    assert (cut.kind, cut.outcome) == (AttemptKind.SHADOW, AttemptOutcome.CANCELLED)
    assert cut.usage.estimated


async def test_texts_are_reported_for_tenants_that_want_them():
    turn = bench("one", again=("two",), retains_texts=True)
    await turn.run(request("A question?"))
    (outcome,) = turn.writer.of(Outcome)
    assert outcome.texts == Texts(input_text="A question?", output_text="one")
    assert (await shadow_of(turn)).input_text == "A question?"


async def test_texts_of_other_tenants_are_not():
    turn = bench("one", again=("two",))
    await turn.run()
    (outcome,) = turn.writer.of(Outcome)
    assert outcome.texts is None
