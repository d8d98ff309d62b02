"""A version that is proved to be worse is left by itself, and nobody else is."""

import asyncio

import pytest
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from tests.support.waiting import eventually

TIMEOUT = 10
FAILED = "ERROR_REASON_PROVIDER_UNAVAILABLE"


@pytest.fixture
async def stub(serve):
    """A registry in process: thousands of turns are reported at once."""
    return await serve("in_process")


async def turns(stub, count, *, failed, first=0, **fields):
    """Report *count* turns of which the first *failed* ended with an error."""
    await asyncio.gather(
        *(
            stub.ReportOutcome(
                pb.ReportOutcomeRequest(
                    outcome=pb.Outcome(
                        request_id=f"{fields['version']}-{first + number}",
                        tenant_id="acme",
                        template="general_chat",
                        error_reason=FAILED if number < failed else "",
                        **fields,
                    )
                ),
                timeout=TIMEOUT,
            )
            for number in range(count)
        )
    )


async def rollbacks(stub):
    answer = await stub.ListRollbacks(
        pb.ListRollbacksRequest(template="general_chat"), timeout=TIMEOUT
    )
    return list(answer.rollbacks)


async def experiment_state(stub):
    answer = await stub.GetExperiment(
        pb.GetExperimentRequest(experiment_id="general-chat-v2"), timeout=TIMEOUT
    )
    return answer.experiment.state


async def is_aborted(stub):
    """The history is read from the store, experiments from memory, which is refreshed after it."""

    async def has_state():
        return await experiment_state(stub) == pb.EXPERIMENT_STATE_ABORTED

    await eventually(has_state)


async def in_arms(stub, *, control_failed, treatment_failed, count=300):
    common = {"experiment_id": "general-chat-v2"}
    await turns(stub, 9 * count, failed=control_failed, version=1, arm="control", **common)
    await turns(stub, count, failed=treatment_failed, version=2, arm="treatment", **common)


async def test_an_arm_with_many_more_errors_is_stopped(stub):
    await in_arms(stub, control_failed=27, treatment_failed=90)

    (rollback,) = await eventually(lambda: rollbacks(stub))
    assert (rollback.from_version, rollback.to_version) == (2, 1)
    assert (rollback.measure, rollback.automatic) == ("error_rate", True)
    assert rollback.observed > rollback.bound > 0
    assert rollback.reason
    await is_aborted(stub)
    rendered = [
        await stub.Render(
            pb.RenderRequest(
                template="general_chat",
                keys=pb.AssignmentKeys(user_id=f"user-{number}"),
                variables={"text": "hello"},
            ),
            timeout=TIMEOUT,
        )
        for number in range(50)
    ]
    assert {each.version for each in rendered} == {1}


async def test_equal_arms_go_on(stub):
    await in_arms(stub, control_failed=54, treatment_failed=6)
    await in_arms_counted(stub)

    assert await rollbacks(stub) == []
    assert await experiment_state(stub) == pb.EXPERIMENT_STATE_RUNNING


async def in_arms_counted(stub):
    """Wait until all turns are counted and the counts were looked at."""

    async def counted():
        answer = await stub.GetOutcomes(
            pb.GetOutcomesRequest(template="general_chat"), timeout=TIMEOUT
        )
        return sum(summary.request_count for summary in answer.summaries) == 3000

    await eventually(counted)
    # A look at the counts follows each change within half a second.
    await asyncio.sleep(0.6)


async def test_a_label_that_moved_to_a_bad_version_returns(stub):
    await stop_experiment(stub)
    await turns(stub, 400, failed=8, version=1)
    await stub.SetLabel(
        pb.SetLabelRequest(template="general_chat", label="production", version=2, author="ada"),
        timeout=TIMEOUT,
    )
    await turns(stub, 400, failed=120, version=2)

    (rollback,) = await eventually(lambda: rollbacks(stub))
    assert (rollback.from_version, rollback.to_version) == (2, 1)
    assert rollback.experiment_id == ""
    moves = await stub.ListLabelMoves(
        pb.ListLabelMovesRequest(template="general_chat"), timeout=TIMEOUT
    )
    assert (moves.moves[0].from_version, moves.moves[0].to_version) == (2, 1)
    assert moves.moves[0].author == "parley"


async def stop_experiment(stub):
    got = await stub.GetExperiment(
        pb.GetExperimentRequest(experiment_id="general-chat-v2"), timeout=TIMEOUT
    )
    got.experiment.state = pb.EXPERIMENT_STATE_ENDED
    await stub.UpdateExperiment(
        pb.UpdateExperimentRequest(experiment=got.experiment), timeout=TIMEOUT
    )


async def test_it_can_be_switched_off(serve):
    stub = await serve("in_process", automatic_rollback=False)
    await in_arms(stub, control_failed=27, treatment_failed=90)
    await in_arms_counted(stub)

    assert await rollbacks(stub) == []
