import threading
from contextlib import asynccontextmanager

import pytest
from parley.guardrails.v1 import guardrails_service_pb2 as pb
from parley.guardrails.v1 import guardrails_service_pb2_grpc as pb_grpc
from parley_services.guardrails.app import open_guardrails
from parley_services.guardrails.names.entity import EntityKind
from parley_services.guardrails.rules import ALL_RULES
from parley_services.guardrails.rules.named import entity_rules
from parley_services.guardrails.settings import GuardrailsSettings
from parley_services.kit.rpc.in_process import InProcessChannel, InProcessServer
from parley_services.kit.rpc.interceptors import interceptors_in_process
from parley_services.kit.rpc.server import StartRefused

from tests.support.clock import ManualClock
from tests.support.entities import ListedNames

NAMES = {"Anna Bell": EntityKind.PERSON, "Paris": EntityKind.PLACE}
IDS = {"pii.person_name", "pii.address"}


@asynccontextmanager
async def serve(rules):
    settings = GuardrailsSettings(prepare_rules=False)
    async with open_guardrails(settings, clock=ManualClock(), rules=rules) as register:
        server = InProcessServer(interceptors=interceptors_in_process())
        register(server)
        await server.start()
        channel = InProcessChannel(server)
        yield pb_grpc.GuardrailsServiceStub(channel)
        await channel.close()
        await server.stop(None)


def with_names(finder):
    return serve((*ALL_RULES, *entity_rules(finder)))


def request(text):
    return pb.CheckInputRequest(texts=[pb.InputText(text=text)])


async def test_names_are_redacted_by_a_thread_and_restored():
    finder = ListedNames(NAMES)
    async with with_names(finder) as stub:
        checked = await stub.CheckInput(request("Anna Bell of Paris, a@example.com"), timeout=60)
        answer = await stub.CheckOutput(
            pb.CheckOutputRequest(
                text="[REDACTED_PERSON_1] is in [REDACTED_ADDRESS_1], said Anna Bell",
                context=pb.OutputContext(placeholders=checked.placeholders),
            ),
            timeout=60,
        )
    assert checked.texts[0].text == (
        "[REDACTED_PERSON_1] of [REDACTED_ADDRESS_1], [REDACTED_EMAIL_1]"
    )
    assert set(checked.audit.rule_ids) >= IDS
    assert answer.text == "Anna Bell is in Paris, said Anna Bell"
    assert answer.cacheable_text.startswith("[REDACTED_PERSON_1] is in [REDACTED_ADDRESS_1]")
    assert threading.main_thread() not in finder.threads
    assert len(finder.threads) == 1


async def test_the_rules_are_listed_and_counted_where_they_exist():
    async with with_names(ListedNames(NAMES)) as stub:
        await stub.CheckInput(request("Anna Bell"), timeout=60)
        listed = await stub.ListRules(pb.ListRulesRequest(), timeout=60)
        stats = await stub.GetRuleStats(pb.GetRuleStatsRequest(), timeout=60)
    held = {each.rule_id: each.max_hold_character_count for each in listed.rules}
    counts = {each.rule_id: each for each in stats.rules}
    assert [held[rule_id] for rule_id in IDS] == [0, 0]
    assert counts["pii.person_name"].redact_count == 1
    assert counts["pii.address"].run_count == 1
    assert counts["pii.address"].hit_count == 0


async def test_by_default_they_do_not_exist():
    async with serve(ALL_RULES) as stub:
        listed = await stub.ListRules(pb.ListRulesRequest(), timeout=60)
    assert not IDS & {each.rule_id for each in listed.rules}


async def test_a_finder_that_fails_blocks_and_is_named():
    async with with_names(ListedNames(NAMES, error=ValueError("E088"))) as stub:
        checked = await stub.CheckInput(request("Hello"), timeout=60)
    assert checked.verdict == pb.VERDICT_BLOCK
    assert set(checked.audit.failed_rule_ids) == IDS


async def test_the_start_is_refused_without_what_the_setting_needs(tmp_path):
    settings = GuardrailsSettings(prepare_rules=False, presidio_model=str(tmp_path / "none"))
    # Which of both depends on whether the extra is installed here.
    with pytest.raises(StartRefused, match=r"extra `presidio`|cannot be loaded"):
        async with open_guardrails(settings, clock=ManualClock()):
            pass
