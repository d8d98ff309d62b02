"""The services that a process can run."""

import importlib
from collections.abc import Sequence

from parley_services.kit.rpc.service import ServiceDefinition

NAMES = (
    "accounting",
    "guardrails",
    "prompt_registry",
    "semantic_cache",
    "model_router",
    "orchestrator",
)
"""In the order in which they are opened: those that others call first."""


def load(names: Sequence[str] = NAMES) -> tuple[ServiceDefinition, ...]:
    """
    Return the services of these *names*, in the order in which they are opened.

    Only they are imported: a process that runs one service need not hold the libraries of all.
    Raises ValueError for a name that is none.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(
            f"There is no service {', '.join(unknown)}: choose from {', '.join(sorted(NAMES))}."
        )
    return tuple(_load(name) for name in NAMES if name in names)


def _load(name: str) -> ServiceDefinition:
    definition = getattr(importlib.import_module(f"parley_services.{name}.app"), name)
    assert isinstance(definition, ServiceDefinition)
    return definition
