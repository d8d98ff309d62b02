"""An arm that runs beside the answers of a whole suite."""

import uuid

import grpc
from parley.accounting.v1 import accounting_service_pb2 as accounting_pb2
from parley.accounting.v1 import accounting_service_pb2_grpc as accounting_grpc
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as prompts_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as prompts_grpc

from tests.support.waiting import eventually


async def begin_experiment(stub, template):
    """Make a template of two versions of which the second is run beside the first."""
    for system_text in ("You explain code.", "You explain code in one line."):
        await stub.CreateTemplateVersion(
            prompts_pb2.CreateTemplateVersionRequest(
                template=template,
                content=prompts_pb2.TemplateContent(
                    system_text=system_text,
                    user_text="{{ text }}",
                    variables=[prompts_pb2.Variable(name="text", required=True)],
                ),
            ),
            timeout=30,
        )
    await stub.SetLabel(
        prompts_pb2.SetLabelRequest(template=template, label="production", version=1), timeout=30
    )
    experiment = prompts_pb2.Experiment(
        experiment_id=f"{template}-beside",
        template=template,
        arms=[
            prompts_pb2.Arm(name="control", version=1, weight=0),
            prompts_pb2.Arm(name="one-line", version=2, weight=1),
        ],
        coverage=1,
        mode=prompts_pb2.EXPERIMENT_MODE_SHADOW,
        state=prompts_pb2.EXPERIMENT_STATE_RUNNING,
    )
    await stub.CreateExperiment(
        prompts_pb2.CreateExperimentRequest(experiment=experiment), timeout=30
    )
    return experiment.experiment_id


async def test_an_arm_runs_beside_the_answer_is_compared_and_not_paid_by_the_user(running, parley):
    template = f"shadow_{uuid.uuid4().hex[:8]}"
    async with (
        grpc.aio.insecure_channel(running.addresses["prompt_registry"]) as prompts_channel,
        grpc.aio.insecure_channel(running.addresses["accounting"]) as accounting_channel,
    ):
        prompts = prompts_grpc.PromptRegistryServiceStub(prompts_channel)
        accounting = accounting_grpc.AccountingServiceStub(accounting_channel)
        experiment_id = await begin_experiment(prompts, template)
        stream = parley.chat("What is gRPC?", request=pb.ChatRequest(template=template))
        await stream.read()

        async def compared():
            found = await prompts.GetExperiment(
                prompts_pb2.GetExperimentRequest(experiment_id=experiment_id), timeout=30
            )
            return [each for each in found.summaries if each.shadow.pair_count]

        (summary,) = await eventually(compared)
        assert (summary.version, summary.shadow.pair_count) == (2, 1)
        assert summary.shadow.mean_similarity > 0

        async def booked():
            found = await accounting.ListEntries(
                accounting_pb2.ListEntriesRequest(
                    tenant_id="default", request_id=stream.completed.request_id
                ),
                timeout=30,
            )
            return found.entries if len(found.entries) == 2 else None

        own, shadow = await eventually(booked)
    assert own.account == accounting_pb2.LEDGER_ACCOUNT_USAGE
    assert shadow.account == accounting_pb2.LEDGER_ACCOUNT_SHADOW
    assert own.cost_nano_usd == stream.completed.cost_nano_usd
    assert shadow.cost_nano_usd > 0
