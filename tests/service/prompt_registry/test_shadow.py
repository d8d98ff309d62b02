"""Arms that run beside the answer, and texts of tenants that want theirs kept."""

from datetime import timedelta

import grpc
import pytest
from parley.chat.v1 import message_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley_services.kit import errors
from parley_services.kit.chat import to_proto
from parley_services.kit.rpc.status import service_error_of
from parley_services.prompt_registry.outcomes.outcome import TurnTexts

TIMEOUT = 10


class StarRedactor:
    """Turns every digit into a star, and keeps nothing of a text with `secret` in it."""

    async def redact(self, texts, *, request_id, tenant_id, template):
        if "secret" in texts.input_text + texts.output_text:
            return None
        return TurnTexts(input_text=_starred(texts.input_text), output_text=texts.output_text)


def _starred(text):
    return "".join("*" if each.isdigit() else each for each in text)


async def begin_shadow(stub):
    content = pb.TemplateContent(
        user_text="Answer as JSON: {{ text }}",
        variables=[pb.Variable(name="text", required=True)],
        response_format=message_pb2.ResponseFormat(
            type=message_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT
        ),
        parameters=message_pb2.SamplingParameters(temperature=0.5),
        tools=["search"],
    )
    created = await stub.CreateTemplateVersion(
        pb.CreateTemplateVersionRequest(template="rag_answer", content=content), timeout=TIMEOUT
    )
    experiment = pb.Experiment(
        experiment_id="rag-json",
        template="rag_answer",
        arms=[
            pb.Arm(name="control", version=1, weight=0),
            pb.Arm(name="json", version=created.version.version, weight=1),
        ],
        coverage=1,
        mode=pb.EXPERIMENT_MODE_SHADOW,
        state=pb.EXPERIMENT_STATE_RUNNING,
    )
    await stub.CreateExperiment(pb.CreateExperimentRequest(experiment=experiment), timeout=TIMEOUT)


def shadow(request_id="r1", *, text='{"a": 1}', answer="a is 1", error_reason="", **fields):
    outcome = {
        "request_id": request_id,
        "tenant_id": "acme",
        "template": "rag_answer",
        "version": 2,
        "experiment_id": "rag-json",
        "arm": "json",
        "error_reason": error_reason,
        "latency": to_proto.duration(0.5),
        "cost_nano_usd": 40,
        "guardrail_blocked": True,
    }
    message = pb.ReportShadowRequest(
        outcome=pb.Outcome(**{**outcome, **fields}), output_text=text, input_text="call 911"
    )
    if answer is not None:
        message.answer.version = 1
        message.answer.text = answer
        message.answer.latency.CopyFrom(to_proto.duration(0.25))
        message.answer.cost_nano_usd = 100
    return message


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return service_error_of(caught.value)


async def test_an_arm_that_the_variables_do_not_fit_is_left_out(stub):
    await begin_shadow(stub)
    rendered = await stub.Render(
        pb.RenderRequest(
            template="rag_answer",
            keys=pb.AssignmentKeys(user_id="ada"),
            variables={"text": "why", "context": "because"},
        ),
        timeout=TIMEOUT,
    )
    assert rendered.version == 1
    assert not rendered.shadow_arms


async def test_an_arm_beside_the_answer_says_how_it_is_to_be_run(stub):
    await stub.CreateTemplateVersion(
        pb.CreateTemplateVersionRequest(
            template="code_review",
            content=pb.TemplateContent(
                user_text="{{ text }}",
                variables=[
                    pb.Variable(name="text", required=True),
                    pb.Variable(name="language"),
                ],
                parameters=message_pb2.SamplingParameters(temperature=0.5),
                response_format=message_pb2.ResponseFormat(
                    type=message_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT
                ),
                tools=["search"],
                model="small",
            ),
        ),
        timeout=TIMEOUT,
    )
    await stub.CreateExperiment(
        pb.CreateExperimentRequest(
            experiment=pb.Experiment(
                experiment_id="short",
                template="code_review",
                arms=[
                    pb.Arm(name="control", version=1, weight=0),
                    pb.Arm(name="short", version=2, weight=1),
                ],
                coverage=1,
                mode=pb.EXPERIMENT_MODE_SHADOW,
                state=pb.EXPERIMENT_STATE_RUNNING,
            )
        ),
        timeout=TIMEOUT,
    )
    rendered = await stub.Render(
        pb.RenderRequest(
            template="code_review",
            keys=pb.AssignmentKeys(user_id="ada"),
            variables={"text": "x = 1"},
        ),
        timeout=TIMEOUT,
    )
    (arm,) = rendered.shadow_arms
    assert (arm.experiment_id, arm.arm, arm.version) == ("short", "short", 2)
    assert (arm.user_text, arm.model, list(arm.tools)) == ("x = 1", "small", ["search"])
    assert arm.parameters.temperature == 0.5
    assert arm.response_format.type == message_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT


async def test_what_ran_beside_is_compared_and_counted_once(stub):
    await begin_shadow(stub)
    for _ in range(2):
        response = await stub.ReportShadow(shadow(), timeout=TIMEOUT)
    comparison = response.comparison
    assert comparison.length_ratio == pytest.approx(8 / 6)
    assert 0 < comparison.similarity < 1
    assert comparison.answer_format_valid
    assert comparison.shadow_format_valid
    await stub.ReportShadow(shadow("r2", text="no JSON"), timeout=TIMEOUT)

    got = await stub.GetExperiment(
        pb.GetExperimentRequest(experiment_id="rag-json"), timeout=TIMEOUT
    )
    (summary,) = got.summaries
    assert (summary.arm, summary.request_count, summary.cost_nano_usd) == ("json", 2, 80)
    assert (summary.guardrail_block_count, summary.format_failure_count) == (2, 1)
    assert summary.shadow.pair_count == 2
    assert summary.shadow.shadow_format_failure_count == 1
    assert summary.shadow.answer_cost_nano_usd == 200
    assert summary.shadow.mean_answer_latency.ToNanoseconds() == 250_000_000
    assert summary.shadow.mean_shadow_latency.ToNanoseconds() == 500_000_000
    log = await stub.ListEvaluations(
        pb.ListEvaluationsRequest(template="rag_answer"), timeout=TIMEOUT
    )
    assert [each.comparison.shadow_format_valid for each in log.evaluations] == [True, False]
    assert all(each.outcome.shadow for each in log.evaluations)


@pytest.mark.parametrize(
    "message", [shadow(error_reason="ERROR_REASON_OVERLOADED"), shadow(answer=None)]
)
async def test_what_failed_is_counted_and_not_compared(stub, message):
    await begin_shadow(stub)
    response = await stub.ReportShadow(message, timeout=TIMEOUT)
    assert not response.HasField("comparison")
    outcomes = await stub.GetOutcomes(pb.GetOutcomesRequest(template="rag_answer"), timeout=TIMEOUT)
    (summary,) = outcomes.summaries
    assert summary.request_count == 1
    assert not summary.HasField("shadow")


async def test_the_form_that_a_turn_asked_for_comes_first(stub):
    await begin_shadow(stub)
    message = shadow(text="plain")
    message.response_format.type = message_pb2.RESPONSE_FORMAT_TYPE_TEXT
    response = await stub.ReportShadow(message, timeout=TIMEOUT)
    assert response.comparison.shadow_format_valid


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (shadow(arm=""), errors.InvalidArgument),
        (shadow(experiment_id="", arm=""), errors.InvalidArgument),
        (shadow(experiment_id="nothing"), errors.NotFound),
        (shadow(version=9), errors.NotFound),
        (
            shadow(template="general_chat", experiment_id="general-chat-v2", arm="treatment"),
            errors.InvalidArgument,
        ),
    ],
)
async def test_a_shadow_of_nothing_is_refused(stub, message, kind):
    await begin_shadow(stub)
    error = await refusal(stub.ReportShadow(message, timeout=TIMEOUT))
    assert isinstance(error, kind)


async def test_texts_are_kept_redacted_of_who_wants_it_and_for_a_time(serve, transport, clock):
    stub = await serve(
        transport, redactor=StarRedactor(), text_tenants="acme, globex", text_retention_days=2
    )
    for tenant, said in (("acme", "call 911"), ("initech", "call 911"), ("globex", "secret")):
        rendered = await stub.Render(
            pb.RenderRequest(
                template="general_chat",
                keys=pb.AssignmentKeys(tenant_id=tenant),
                variables={"text": "x"},
            ),
            timeout=TIMEOUT,
        )
        assert rendered.retains_texts is (tenant != "initech")
        outcome = pb.Outcome(request_id="r1", tenant_id=tenant, template="general_chat", version=1)
        outcome.end_time.FromDatetime(clock.now() + timedelta(days=1))
        await stub.ReportOutcome(
            pb.ReportOutcomeRequest(
                outcome=outcome, texts=pb.TurnTexts(input_text=said, output_text="I did")
            ),
            timeout=TIMEOUT,
        )

    async def logged(**fields):
        response = await stub.ListEvaluations(pb.ListEvaluationsRequest(**fields), timeout=TIMEOUT)
        return {
            each.outcome.tenant_id: each.texts.input_text
            for each in response.evaluations
            if each.HasField("texts")
        }

    assert await logged() == {}
    assert await logged(include_texts=True) == {"acme": "call ***"}
