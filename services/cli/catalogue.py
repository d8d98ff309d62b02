"""The services that a process can run."""

from services.accounting.app import accounting
from services.guardrails.app import guardrails
from services.kit.service import ServiceDefinition
from services.model_router.app import model_router
from services.orchestrator.app import orchestrator
from services.prompt_registry.app import prompt_registry
from services.semantic_cache.app import semantic_cache

SERVICES: tuple[ServiceDefinition, ...] = (
    accounting,
    guardrails,
    prompt_registry,
    semantic_cache,
    model_router,
    orchestrator,
)
"""In the order in which they are opened: those that others call first."""


def chosen(names: list[str]) -> tuple[ServiceDefinition, ...]:
    """Return the services of these *names*, all without any. Raises ValueError for unknown ones."""
    known = {service.name for service in SERVICES}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ValueError(
            f"There is no service {', '.join(unknown)}: choose from {', '.join(sorted(known))}."
        )
    return tuple(service for service in SERVICES if not names or service.name in names)
