"""The enums of the orchestrator's domain carry the numbers of their messages."""

import pytest
from parley.accounting.v1 import accounting_service_pb2 as accounting_pb2
from parley.chat.v1 import chat_pb2
from parley.guardrails.v1 import guardrails_service_pb2 as guardrails_pb2
from parley.model_router.v1 import model_router_service_pb2 as router_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as orchestrator_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as prompts_pb2
from parley_services.orchestrator import values

PAIRS = [
    (values.Role, chat_pb2.Role, "ROLE_"),
    (values.ToolChoiceMode, chat_pb2.ToolChoiceMode, "TOOL_CHOICE_MODE_"),
    (values.ResponseFormatType, chat_pb2.ResponseFormatType, "RESPONSE_FORMAT_TYPE_"),
    (values.FinishReason, chat_pb2.FinishReason, "FINISH_REASON_"),
    (values.Stage, chat_pb2.Stage, "STAGE_"),
    (values.Action, chat_pb2.Action, "ACTION_"),
    (values.Severity, chat_pb2.Severity, "SEVERITY_"),
    (values.AnswerSource, chat_pb2.AnswerSource, "ANSWER_SOURCE_"),
    (values.CacheMode, orchestrator_pb2.CacheMode, "CACHE_MODE_"),
    (values.CacheScope, prompts_pb2.CacheScope, "CACHE_SCOPE_"),
    (values.CacheAlso, prompts_pb2.CacheAlso, "CACHE_ALSO_"),
    (values.FailoverMode, orchestrator_pb2.FailoverMode, "FAILOVER_MODE_"),
    (values.FailoverMode, router_pb2.MidStreamPolicy, "MID_STREAM_POLICY_"),
    (values.FormatOutcome, orchestrator_pb2.FormatOutcome, "FORMAT_OUTCOME_"),
    (values.BudgetDecision, accounting_pb2.BudgetDecision, "BUDGET_DECISION_"),
    (values.InputSource, guardrails_pb2.InputSource, "INPUT_SOURCE_"),
    (values.AttemptKind, router_pb2.AttemptKind, "ATTEMPT_KIND_"),
    (values.AttemptOutcome, router_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_"),
]


@pytest.mark.parametrize(("ours", "wire", "prefix"), PAIRS, ids=lambda value: str(value)[:40])
def test_the_numbers_are_the_same(ours, wire, prefix):
    assert {prefix + each.name: each.value for each in ours} == dict(wire.items())


def test_every_enum_is_compared():
    declared = {
        value
        for value in vars(values).values()
        if isinstance(value, type)
        and issubclass(value, values.WireEnum)
        and value is not values.WireEnum
    }
    assert declared == {ours for ours, _, _ in PAIRS}


def test_a_number_of_a_newer_client_is_unspecified():
    assert values.Role(99) is values.Role.UNSPECIFIED
