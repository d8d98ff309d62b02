"""The service's own face: takes requests and has commands committed."""

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from parley_services.accounting.ledger.extend import Extend, ExtendRequest
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.reserve import Reserve, ReserveRequest
from parley_services.accounting.ledger.settle import Settle, Settled, SettleRequest
from parley_services.accounting.ledger.turn import Turn, TurnKey
from parley_services.accounting.ledger.unit_of_work import LedgerStore
from parley_services.accounting.limits.admission import AdmissionRequest, Admissions
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import InvalidArgument, ServiceError

_RESERVATIONS = uuid.UUID("6a1d7a1e-6f0e-4c55-9f0c-0f4f3c1b7a52")
"""The namespace of reservation ids that are made here."""


class Accounting:
    """Admits, reserves, extends, settles and releases turns."""

    def __init__(
        self,
        store: LedgerStore,
        *,
        admissions: Admissions,
        context: PricingContext,
    ) -> None:
        self._store = store
        self._admissions = admissions
        self._context = context

    async def admit(
        self,
        request_id: str,
        subject: Subject,
        *,
        reservation_id: str,
        turn_timeout_seconds: float,
    ) -> datetime:
        """
        Let a turn begin, and return when it stops counting as running by itself.

        Raises RateLimited, ConcurrencyLimited, StateForbids while another run
        of the turn is admitted, DependencyUnavailable if the store is away.
        """
        return await self._admissions.admit(
            self._admission(request_id, subject, reservation_id, turn_timeout_seconds)
        )

    async def reserve(self, request: ReserveRequest) -> Turn:
        """
        Set aside what a turn may cost, and admit it first unless it is. Idempotent by request id.

        Raises RateLimited, ConcurrencyLimited, BudgetExhausted, PriceUnknown, StateForbids for
        a turn that has ended, DependencyUnavailable if the store is away.
        """
        key = request.turn_key
        # Always the same for a turn, so that a repeated call finds what the first one made.
        reservation_id = request.reservation_id or uuid.uuid5(_RESERVATIONS, key.text).hex
        command = Reserve(
            request,
            context=self._context,
            reservation_id=reservation_id,
        )
        if request.is_admitted:
            return await self._store.commit(command)
        timeout_seconds = request.turn_timeout_seconds
        await self._admissions.admit(
            self._admission(request.request_id, request.subject, reservation_id, timeout_seconds)
        )
        try:
            return await self._store.commit(command)
        except ServiceError:
            with contextlib.suppress(ServiceError):
                await self._admissions.end(key, reservation_id)
            raise

    def _admission(
        self, request_id: str, subject: Subject, reservation_id: str, timeout_seconds: float
    ) -> AdmissionRequest:
        return AdmissionRequest(
            request_id=request_id,
            subject=subject,
            reservation_id=reservation_id,
            lease_seconds=timeout_seconds + self._context.lease_grace_seconds,
        )

    async def extend(self, request: ExtendRequest) -> Turn:
        """
        Set more aside for a turn that runs. Idempotent by step.

        Raises BudgetExhausted, NotFound, StateForbids,
        DependencyUnavailable if the store is away.
        """
        return await self._store.commit(Extend(request, context=self._context))

    async def settle(self, request: SettleRequest) -> Settled:
        """
        Book what a turn used; return after the commit. Idempotent by attempt.

        Raises InvalidArgument for a number given twice, DependencyUnavailable if the store is
        away or full.
        """
        _check_numbers(request)
        settled = await self._store.commit(Settle(request, context=self._context))
        if request.ends_turn:
            await self._admissions.end(request.turn_key, request.reservation_id)
        return settled

    async def book(self, reported: Sequence[SettleRequest]) -> int:
        """
        Book the attempts of *reported*, a part of one turn each, that are not booked yet.

        Returns how many were, after the commit. Raises DependencyUnavailable if the store is
        away or full.
        """
        by_turn: dict[TurnKey, list[SettleRequest]] = defaultdict(list)
        for request in reported:
            by_turn[request.turn_key].append(request)
        booked = await self._store.booked_attempts(by_turn.keys())
        commands, count = [], 0
        for key, parts in by_turn.items():
            known = booked.get(key, ())
            missing = [part for part in parts if part.attempts[0].number not in known]
            if missing:
                attempts = {part.attempts[0].number: part.attempts[0] for part in missing}
                count += len(attempts)
                request = replace(missing[-1], attempts=tuple(attempts.values()))
                commands.append(Settle(request, context=self._context))
        await asyncio.gather(*map(self._store.commit, commands))
        ended = (command.request.turn_key for command in commands if command.request.ends_turn)
        await asyncio.gather(*map(self._admissions.end, ended))
        return count

    async def release(self, request_id: str, subject: Subject, reservation_id: str = "") -> None:
        """
        End the reservation of a turn that used nothing, unless it is another. Idempotent.

        Raises DependencyUnavailable if the store is away.
        """
        await self.settle(
            SettleRequest(request_id=request_id, subject=subject, reservation_id=reservation_id)
        )

    def lease_end(self, turn: Turn) -> datetime:
        """Return when the lease of *turn* ends, by the wall clock."""
        return self._store.wall_time(turn.deadline_ns)


def _check_numbers(request: SettleRequest) -> None:
    numbers = set()
    for index, attempt in enumerate(request.attempts):
        if attempt.number in numbers:
            raise InvalidArgument.field(f"attempts[{index}].number", "must be given once.")
        numbers.add(attempt.number)
