"""Replicas of the registry, and watches of it."""

import asyncio

import pytest
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley_services.prompt_registry import from_proto
from parley_services.prompt_registry.experiments.assignment import AssignmentKeys
from parley_services.prompt_registry.templates.snapshot import TemplateSnapshot

from tests.support import postgres

TIMEOUT = 20


class Watcher:
    """Follows a watch and keeps the snapshot, as an orchestrator does."""

    def __init__(self, stub, *, after_revision=0, snapshot=None):
        self.snapshot = snapshot or TemplateSnapshot()
        self.messages = []
        self._call = stub.WatchTemplates(
            pb.WatchTemplatesRequest(after_revision=after_revision), timeout=TIMEOUT
        )

    async def until(self, condition):
        """Read until *condition* holds for the snapshot."""
        while not condition(self.snapshot):
            message = await self._call.read()
            self.messages.append(message)
            self.snapshot = from_proto.snapshot(self.snapshot, message)

    def leave(self):
        self._call.cancel()


def production(snapshot):
    state = snapshot.templates.get("general_chat")
    return state.labelled("production") if state else 0


def move(version):
    return pb.SetLabelRequest(template="general_chat", label="production", version=version)


async def test_a_watch_begins_with_everything_and_goes_on_with_changes(stub):
    watcher = Watcher(stub)
    await watcher.until(lambda snapshot: len(snapshot.templates) == 3)
    assert watcher.messages[0].WhichOneof("update") == "snapshot"
    await stub.SetLabel(move(2), timeout=TIMEOUT)
    await watcher.until(lambda snapshot: production(snapshot) == 2)
    assert [each.WhichOneof("update") for each in watcher.messages] == ["snapshot", "template"]
    assert watcher.messages[0].revision < watcher.messages[1].revision
    watcher.leave()


async def test_a_watch_can_be_taken_up_again(stub):
    first = Watcher(stub)
    await first.until(lambda snapshot: len(snapshot.templates) == 3)
    first.leave()
    await stub.SetLabel(move(2), timeout=TIMEOUT)
    again = Watcher(stub, after_revision=first.snapshot.revision, snapshot=first.snapshot)
    await again.until(lambda snapshot: production(snapshot) == 2)
    assert [each.WhichOneof("update") for each in again.messages] == ["template"]
    again.leave()


async def test_a_revision_that_never_was_gets_everything(stub):
    watcher = Watcher(stub, after_revision=10_000)
    await watcher.until(lambda snapshot: len(snapshot.templates) == 3)
    assert watcher.messages[0].WhichOneof("update") == "snapshot"
    watcher.leave()


async def test_the_snapshot_renders_what_the_service_renders(stub):
    watcher = Watcher(stub)
    await watcher.until(lambda snapshot: len(snapshot.templates) == 3)
    for n in range(50):
        response = await stub.Render(
            pb.RenderRequest(
                template="general_chat",
                keys=pb.AssignmentKeys(user_id=str(n)),
                variables={"text": "hello"},
            ),
            timeout=TIMEOUT,
        )
        prompt = watcher.snapshot.render(
            template="general_chat",
            keys=AssignmentKeys(user_id=str(n)),
            variables={"text": "hello"},
        )
        assert (prompt.version.version, prompt.arm) == (response.version, response.arm)
        assert prompt.text.system_text == response.system_text
    watcher.leave()


@pytest.mark.parametrize("placement", ["tcp", "in_process"])
async def test_a_move_reaches_every_replica(serve, placement):
    stubs = [await serve(placement) for _ in range(3)]
    watchers = [Watcher(each) for each in stubs]
    for watcher in watchers:
        await watcher.until(lambda snapshot: production(snapshot) == 1)
    await stubs[0].SetLabel(move(2), timeout=TIMEOUT)
    await asyncio.gather(
        *(each.until(lambda snapshot: production(snapshot) == 2) for each in watchers)
    )
    for watcher in watchers:
        watcher.leave()


async def test_a_rollback_by_itself_reaches_three_replicas_on_one_postgresql(serve):
    with postgres.cluster() as cluster:
        url = cluster.new_database()
        stubs = [await serve("tcp", database_url=url) for _ in range(3)]
        watchers = [Watcher(each) for each in stubs]

        def splits(snapshot):
            state = snapshot.templates.get("general_chat")
            return bool(state and state.experiments)

        for watcher in watchers:
            await watcher.until(splits)
        # Each replica hears of a third of the turns, and they count together.
        await asyncio.gather(
            *(
                stubs[number % 3].ReportOutcome(
                    pb.ReportOutcomeRequest(
                        outcome=pb.Outcome(
                            request_id=str(number),
                            template="general_chat",
                            version=2 if number < 30 else 1,
                            experiment_id="general-chat-v2",
                            arm="treatment" if number < 30 else "control",
                            error_reason="ERROR_REASON_INTERNAL" if number < 30 else "",
                        )
                    ),
                    timeout=TIMEOUT,
                )
                for number in range(120)
            )
        )
        await asyncio.gather(
            *(each.until(lambda snapshot: not splits(snapshot)) for each in watchers)
        )
        found = await stubs[1].ListRollbacks(pb.ListRollbacksRequest(), timeout=TIMEOUT)
        assert [each.measure for each in found.rollbacks] == ["error_rate"]
        for watcher in watchers:
            watcher.leave()
        await serve.aclose()
