"""The shared enums carry the numbers of their messages."""

import importlib
import pkgutil

import pytest
from parley.accounting.v1 import accounting_service_pb2 as accounting_pb2
from parley.chat.v1 import answer_pb2, attempt_pb2, budget_pb2, finding_pb2, message_pb2
from parley.guardrails.v1 import guardrails_service_pb2 as guardrails_pb2
from parley.model_router.v1 import model_router_service_pb2 as router_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as orchestrator_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as prompts_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as cache_pb2
from parley_services.accounting.keys.keys import KeyScope
from parley_services.accounting.ledger.entry import Account, FaultKind
from parley_services.accounting.limits.alerts import AlertKind
from parley_services.accounting.limits.allowances import BudgetPeriod
from parley_services.accounting.reports.costs import CostGrouping
from parley_services.accounting.subjects import SubjectLevel
from parley_services.kit import chat
from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.attempt import AttemptKind, AttemptOutcome, MidStreamPolicy
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.cacheable import CacheScope, ExtraCacheable
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity
from parley_services.kit.chat.input_source import InputSource, TextFormat
from parley_services.kit.chat.message import ResponseFormatType, Role, ToolChoiceMode
from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.model_router.route.breaker import BreakerState
from parley_services.model_router.route.route_reason import RouteReason
from parley_services.orchestrator.admission.request import CacheMode
from parley_services.orchestrator.events import FormatOutcome, TurnStage
from parley_services.prompt_registry.experiments.experiment import (
    AssignmentUnit,
    ExperimentMode,
    ExperimentState,
)
from parley_services.semantic_cache.outcome import MissReason, Tier
from pydantic import TypeAdapter, ValidationError

PAIRS = [
    (Role, message_pb2.Role, "ROLE_"),
    (ToolChoiceMode, message_pb2.ToolChoiceMode, "TOOL_CHOICE_MODE_"),
    (ResponseFormatType, message_pb2.ResponseFormatType, "RESPONSE_FORMAT_TYPE_"),
    (FinishReason, answer_pb2.FinishReason, "FINISH_REASON_"),
    (AnswerSource, answer_pb2.AnswerSource, "ANSWER_SOURCE_"),
    (FindingStage, finding_pb2.FindingStage, "FINDING_STAGE_"),
    (GuardrailAction, finding_pb2.GuardrailAction, "GUARDRAIL_ACTION_"),
    (Severity, finding_pb2.Severity, "SEVERITY_"),
    (AttemptKind, attempt_pb2.AttemptKind, "ATTEMPT_KIND_"),
    (AttemptOutcome, attempt_pb2.AttemptOutcome, "ATTEMPT_OUTCOME_"),
    (MidStreamPolicy, attempt_pb2.MidStreamPolicy, "MID_STREAM_POLICY_"),
    (BudgetDecision, budget_pb2.BudgetDecision, "BUDGET_DECISION_"),
    (CacheScope, prompts_pb2.CacheScope, "CACHE_SCOPE_"),
    (ExtraCacheable, prompts_pb2.ExtraCacheable, "EXTRA_CACHEABLE_"),
    (AssignmentUnit, prompts_pb2.AssignmentUnit, "ASSIGNMENT_UNIT_"),
    (ExperimentState, prompts_pb2.ExperimentState, "EXPERIMENT_STATE_"),
    (ExperimentMode, prompts_pb2.ExperimentMode, "EXPERIMENT_MODE_"),
    (InputSource, guardrails_pb2.InputSource, "INPUT_SOURCE_"),
    (TextFormat, guardrails_pb2.TextFormat, "TEXT_FORMAT_"),
    (BreakerState, router_pb2.BreakerState, "BREAKER_STATE_"),
    (RouteReason, router_pb2.RouteReason, "ROUTE_REASON_"),
    (CacheMode, orchestrator_pb2.CacheMode, "CACHE_MODE_"),
    (TurnStage, orchestrator_pb2.TurnStage, "TURN_STAGE_"),
    (FormatOutcome, orchestrator_pb2.FormatOutcome, "FORMAT_OUTCOME_"),
    (Tier, cache_pb2.Tier, "TIER_"),
    (KeyScope, accounting_pb2.KeyScope, "KEY_SCOPE_"),
    (SubjectLevel, accounting_pb2.SubjectLevel, "SUBJECT_LEVEL_"),
    (BudgetPeriod, accounting_pb2.BudgetPeriod, "BUDGET_PERIOD_"),
    (CostGrouping, accounting_pb2.CostGrouping, "COST_GROUPING_"),
    (Account, accounting_pb2.LedgerAccount, "LEDGER_ACCOUNT_"),
    (FaultKind, accounting_pb2.LedgerFaultKind, "LEDGER_FAULT_KIND_"),
    (AlertKind, accounting_pb2.AlertKind, "ALERT_KIND_"),
    (MissReason, cache_pb2.MissReason, "MISS_REASON_"),
]


@pytest.mark.parametrize(("ours", "wire", "prefix"), PAIRS, ids=lambda value: str(value)[:40])
def test_the_numbers_are_the_same(ours, wire, prefix):
    assert {prefix + each.name: each.value for each in ours} == dict(wire.items())


def test_every_shared_enum_is_compared():
    for module in pkgutil.iter_modules(chat.__path__, f"{chat.__name__}."):
        importlib.import_module(module.name)
    shared = {
        each for each in WireEnum.__subclasses__() if each.__module__.startswith(chat.__name__)
    }
    assert shared <= {ours for ours, _, _ in PAIRS}


def test_a_number_of_a_newer_client_is_unspecified():
    assert Role(99) is Role.UNSPECIFIED


@pytest.mark.parametrize("kind", [ours for ours, _, _ in PAIRS], ids=lambda kind: kind.__name__)
def test_what_is_stored_by_its_key_comes_back(kind):
    assert [kind.from_key(each.key) for each in kind] == list(kind)


def test_an_unknown_key_is_refused_and_not_taken_for_unspecified():
    with pytest.raises(ValueError, match="usr is not one of system, user"):
        Role.from_key("usr")
    with pytest.raises(ValidationError, match="system, user, assistant, tool"):
        TypeAdapter(Role).validate_python("usr")
    assert TypeAdapter(Role).validate_python("user") is Role.USER
