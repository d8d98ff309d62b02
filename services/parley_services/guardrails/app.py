"""Puts the guardrails together. The only module that knows which classes are real."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

import grpc
from parley.guardrails.v1 import guardrails_service_pb2_grpc as pb_grpc

from parley_services.guardrails.format.format_checker import FormatChecker
from parley_services.guardrails.format.worker_pool import SchemaWorkers
from parley_services.guardrails.guardrails import Guardrails
from parley_services.guardrails.names.entity import EntityFinder
from parley_services.guardrails.names.presidio_finder import PresidioMissing, open_presidio_finder
from parley_services.guardrails.offload import Offload
from parley_services.guardrails.policy.policy_file import load_policies
from parley_services.guardrails.rule import Rule
from parley_services.guardrails.rules import ALL_RULES
from parley_services.guardrails.rules.named import entity_rules
from parley_services.guardrails.servicer import GuardrailsServicer
from parley_services.guardrails.settings import GuardrailsSettings
from parley_services.kit.clock import Clock, SystemClock
from parley_services.kit.rpc.health import Health
from parley_services.kit.rpc.peers import Peers
from parley_services.kit.rpc.server import StartRefused
from parley_services.kit.rpc.service import Register, ServiceDefinition


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
    with (
        closing(Offload(settings.offload_bounds)) as offload,
        closing(SchemaWorkers(settings.worker_bounds)) as workers,
    ):
        formats = FormatChecker(workers, settings.format_bounds)
        guardrails = Guardrails(
            policies, rules, clock or SystemClock(), offload, formats, settings.limits
        )
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
