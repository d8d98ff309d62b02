"""Puts the guardrails together. The only module that knows which classes are real."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

import grpc
from parley.guardrails.v1 import guardrails_service_pb2_grpc as pb_grpc

from services.guardrails.entity import EntityFinder
from services.guardrails.guardrails import Guardrails
from services.guardrails.offload import Offload
from services.guardrails.policy_file import load_policies
from services.guardrails.presidio_finder import PresidioMissing, open_presidio_finder
from services.guardrails.rule import Rule
from services.guardrails.rules import ALL_RULES
from services.guardrails.rules.named import entity_rules
from services.guardrails.servicer import GuardrailsServicer
from services.guardrails.settings import GuardrailsSettings
from services.kit.clock import Clock, SystemClock
from services.kit.health import Health
from services.kit.peers import Peers
from services.kit.server import StartRefused
from services.kit.service import Register, ServiceDefinition


@asynccontextmanager
async def open_guardrails(
    settings: GuardrailsSettings,
    *,
    clock: Clock | None = None,
    rules: Sequence[Rule] = ALL_RULES,
) -> AsyncIterator[Register]:
    """
    Compile the rules and yield the function that registers the service.

    A test passes its own *rules*. Raises PolicyInvalid for a policy file that is wrong, and
    StartRefused if names are to be found and the extra or its model is missing.
    """
    if settings.presidio_model:
        rules = (*rules, *entity_rules(_open_finder(settings.presidio_model)))
    policies = load_policies(settings.policy_path, rules)
    with closing(Offload(settings.offload_bounds)) as offload:
        guardrails = Guardrails(policies, rules, clock or SystemClock(), offload, settings.limits)
        if settings.prepare_rules:
            guardrails.prepare()
        servicer = GuardrailsServicer(guardrails)

        def register(server: grpc.aio.Server) -> None:
            pb_grpc.add_GuardrailsServiceServicer_to_server(servicer, server)

        yield register
        guardrails.log_summary()


def _open_finder(model: str) -> EntityFinder:
    try:
        return open_presidio_finder(model)
    except PresidioMissing as error:
        raise StartRefused(f"The guardrails cannot start: {error}.") from error


@asynccontextmanager
async def _open(*, peers: Peers, health: Health, clock: Clock) -> AsyncIterator[Register]:
    async with open_guardrails(GuardrailsSettings(), clock=clock) as register:
        yield register


guardrails = ServiceDefinition(
    name="guardrails",
    proto_service_full_name="parley.guardrails.v1.GuardrailsService",
    default_port=50052,
    open=_open,
)
