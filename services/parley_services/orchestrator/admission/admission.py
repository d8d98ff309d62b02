"""The first stage of a turn: who asks, may they, and may the text pass."""

import asyncio
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from parley_services.kit.chat.finding import Placeholder
from parley_services.kit.chat.input_source import InputSource
from parley_services.kit.chat.message import Message, Role
from parley_services.kit.chat.subject import Subject
from parley_services.kit.clock import Clock
from parley_services.kit.errors import DeadlineExceeded, DependencyUnavailable, GuardrailBlocked
from parley_services.kit.rpc import request_context
from parley_services.orchestrator.admission.key_cache import KeyCache, acting_for
from parley_services.orchestrator.admission.offline import OfflineAllowance
from parley_services.orchestrator.admission.request import TurnRequest, validate
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.fallback_guardrails import FallbackGuardrails
from parley_services.orchestrator.finish.reservation_handle import ReservationHandle
from parley_services.orchestrator.ports import Accounting, ModelCatalogue, PostTurnWriter
from parley_services.orchestrator.trace import Trace
from parley_services.orchestrator.values.accounting import (
    Principal,
    Reservation,
    ReservationRequest,
)
from parley_services.orchestrator.values.guardrails import InputText, InputVerdict
from parley_services.orchestrator.values.records import PendingTurn

_HISTORY_SOURCES = {
    Role.USER: InputSource.HISTORY_USER,
    Role.ASSISTANT: InputSource.HISTORY_ASSISTANT,
    Role.TOOL: InputSource.TOOL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedTurn:
    """A turn that may go on, with its texts as a model may see them."""

    request: TurnRequest
    subject: Subject
    handle: ReservationHandle
    placeholders: tuple[Placeholder, ...]
    input_token_count: int


class Admission:
    """Admits turns: authentication, limits and budgets, and the guardrails' word on the input."""

    def __init__(
        self,
        *,
        key_cache: KeyCache,
        accounting: Accounting,
        models: ModelCatalogue,
        guard: FallbackGuardrails,
        writer: PostTurnWriter,
        offline: OfflineAllowance,
        clock: Clock,
        max_input_tokens: int,
        reserve_timeout_seconds: float,
    ) -> None:
        self._key_cache = key_cache
        self._accounting = accounting
        self._models = models
        self._guard = guard
        self._writer = writer
        self._offline = offline
        self._clock = clock
        self._max_input_tokens = max_input_tokens
        self._reserve_timeout_seconds = reserve_timeout_seconds

    async def admit(
        self, request: TurnRequest, secret: str, deadline: Deadline, trace: Trace
    ) -> AdmittedTurn:
        """
        Admit *request* or raise why not.

        The reservation and the check of the input run side by side, and both must pass. If the
        check refuses, or the turn is cancelled meanwhile, the reservation is given back.
        Raises what KeyCache.principal, validate and Accounting.reserve raise, NotFound for an
        unknown model, GuardrailBlocked, and Overloaded if too much is still to be booked.
        """
        principal = await self._key_cache.principal(secret, deadline)
        request_context.bind(tenant_id=principal.subject.tenant_id)
        subject = acting_for(principal, request.user_id)
        token_count = validate(request, max_input_tokens=self._max_input_tokens)
        model = self._models.price_name(request.model)
        texts = list(_texts(request))
        reservation_id = uuid.uuid4().hex
        outbox_id = self._writer.begin(
            PendingTurn(
                request_id=request.request_id,
                reservation_id=reservation_id,
                subject=subject,
                last_time=self._clock.now() + timedelta(seconds=deadline.remaining()),
            )
        )
        reserving = asyncio.create_task(
            self._reserve(
                request, subject, principal, model, token_count, reservation_id, deadline, trace
            )
        )
        admitted = False
        try:
            verdict = await self._guard.check_input(
                texts, request=request, subject=subject, deadline=deadline, trace=trace
            )
            _refuse_blocked(verdict)
            handle = self._handle(request, subject, await reserving, deadline, outbox_id)
            admitted = True
        finally:
            if not admitted:
                unknown = Reservation.unknown(reservation_id)
                await self._give_back(request, subject, reserving, unknown, deadline, outbox_id)
        trace.findings.extend(verdict.findings)
        return AdmittedTurn(
            request=_with_texts(request, verdict.texts),
            subject=subject,
            handle=handle,
            placeholders=verdict.placeholders,
            input_token_count=token_count,
        )

    async def _reserve(
        self,
        request: TurnRequest,
        subject: Subject,
        principal: Principal,
        model: str,
        token_count: int,
        reservation_id: str,
        deadline: Deadline,
        trace: Trace,
    ) -> Reservation:
        try:
            reservation = await self._accounting.reserve(
                ReservationRequest(
                    request_id=request.request_id,
                    subject=subject,
                    model=model,
                    input_token_count=token_count,
                    max_output_token_count=request.parameters.max_output_token_count or 0,
                    template=request.template,
                    tags=dict(request.tags),
                    turn_timeout_seconds=deadline.remaining(),
                    reservation_id=reservation_id,
                ),
                timeout_seconds=deadline.timeout(self._reserve_timeout_seconds),
            )
        except DependencyUnavailable as error:
            reservation = self._offline.take(principal, error)
            trace.degrade("accounting", "The turn runs on trust and is booked later.")
        else:
            self._offline.refill()
        return reservation

    async def _give_back(
        self,
        request: TurnRequest,
        subject: Subject,
        reserving: asyncio.Task[Reservation],
        unknown: Reservation,
        deadline: Deadline,
        outbox_id: int,
    ) -> None:
        """
        End the reservation of a turn that is not admitted, even if its call is still out.

        Where accounting did not answer it may hold one, so that is ended, too.
        """
        error = reserving.exception() if reserving.done() and not reserving.cancelled() else None
        if error is not None and not isinstance(error, DependencyUnavailable | DeadlineExceeded):
            self._writer.forget(outbox_id)
            return
        reserving.cancel()
        await asyncio.wait([reserving])
        reservation = unknown
        if not reserving.cancelled() and reserving.exception() is None:
            reservation = reserving.result()
        handle = self._handle(request, subject, reservation, deadline, outbox_id)
        handle.settle(end_time=self._clock.now())

    def _handle(
        self,
        request: TurnRequest,
        subject: Subject,
        reservation: Reservation,
        deadline: Deadline,
        outbox_id: int,
    ) -> ReservationHandle:
        return ReservationHandle(
            request_id=request.request_id,
            subject=subject,
            reservation=reservation,
            accounting=self._accounting,
            writer=self._writer,
            deadline=deadline,
            tags=dict(request.tags),
            outbox_id=outbox_id,
        )


def _texts(request: TurnRequest) -> Iterator[InputText]:
    """Yield every text of *request* in the order that `_with_texts` takes them back."""
    yield InputText(source=InputSource.USER, text=request.text)
    for message in request.history:
        yield InputText(source=_HISTORY_SOURCES[message.role], text=message.text)
    for value in request.variables.values():
        yield InputText(source=InputSource.VARIABLE, text=value)
    for document in request.context_documents:
        yield InputText(source=InputSource.DOCUMENT, text=document)


def _with_texts(request: TurnRequest, texts: Iterable[str]) -> TurnRequest:
    rest = iter(texts)
    text = next(rest)
    history = tuple(_with_text(message, next(rest)) for message in request.history)
    variables = {name: next(rest) for name in request.variables}
    documents = tuple(next(rest) for _ in request.context_documents)
    return replace(
        request, text=text, history=history, variables=variables, context_documents=documents
    )


def _with_text(message: Message, text: str) -> Message:
    return message if message.text == text else replace(message, text=text)


def _refuse_blocked(verdict: InputVerdict) -> None:
    finding = verdict.blocking
    if finding is not None:
        raise GuardrailBlocked(
            f"The input breaks the guardrail rule {finding.rule_id}: rephrase it.",
            metadata={
                "rule_id": finding.rule_id,
                "stage": "input",
                "category": finding.category,
            },
        )
