"""Whatever stands behind a port of the orchestrator, real or by hand, takes what the port says."""

import inspect

import pytest
from parley_services.orchestrator import ports
from parley_services.orchestrator.finish.reservation_handle import (
    AttemptRecorder,
    ReservationHandle,
)
from parley_services.orchestrator.finish.shadow import UnmeteredAttempts
from parley_services.orchestrator.peers.accounting import GrpcAccounting
from parley_services.orchestrator.peers.baseline import BaselineGuardrails
from parley_services.orchestrator.peers.guardrails import GrpcGuardrails
from parley_services.orchestrator.peers.model_catalogue import ListedModelCatalogue
from parley_services.orchestrator.peers.model_router import GrpcRouter
from parley_services.orchestrator.peers.prompt_registry import GrpcPrompts
from parley_services.orchestrator.peers.records import OutboxWriter
from parley_services.orchestrator.peers.semantic_cache import GrpcCache
from parley_services.orchestrator.peers.template_snapshot import WatchedTemplates

from tests.support import turns

IMPLEMENTATIONS = [
    (ports.Accounting, GrpcAccounting),
    (ports.Accounting, turns.FakeAccounting),
    (ports.Guardrails, GrpcGuardrails),
    (ports.Guardrails, BaselineGuardrails),
    (ports.Guardrails, turns.FakeGuardrails),
    (ports.OutputScan, turns.FakeScan),
    (ports.Prompts, GrpcPrompts),
    (ports.Prompts, turns.FakePrompts),
    (ports.PromptSnapshot, WatchedTemplates),
    (ports.PromptSnapshot, turns.Snapshot),
    (ports.Cache, GrpcCache),
    (ports.Cache, turns.FakeCache),
    (ports.Router, GrpcRouter),
    (ports.Router, turns.ScriptedRouter),
    (ports.ModelCatalogue, ListedModelCatalogue),
    (ports.ModelCatalogue, turns.FakeModelCatalogue),
    (ports.PostTurnWriter, OutboxWriter),
    (ports.PostTurnWriter, turns.MemoryWriter),
    (AttemptRecorder, ReservationHandle),
    (AttemptRecorder, UnmeteredAttempts),
]


def parameters(function):
    """Return the name, the kind and whether there is a default, of each parameter."""
    return [
        (each.name, each.kind, each.default is not inspect.Parameter.empty)
        for each in inspect.signature(function).parameters.values()
    ]


def methods(port):
    return [
        name for name in vars(port) if not name.startswith("_") and callable(getattr(port, name))
    ]


@pytest.mark.parametrize(
    ("port", "implementation"), IMPLEMENTATIONS, ids=lambda value: value.__name__
)
def test_every_method_takes_what_its_port_says(port, implementation):
    for name in methods(port):
        wanted, found = getattr(port, name), getattr(implementation, name)
        assert parameters(found) == parameters(wanted), name


def test_every_port_has_a_real_and_a_fake_one():
    defined = {
        each for each in vars(ports).values() if getattr(each, "__module__", "") == ports.__name__
    }
    for port in defined:
        homes = {
            implementation.__module__.partition(".")[0]
            for each, implementation in IMPLEMENTATIONS
            if each is port
        }
        assert "tests" in homes, port
