"""The service's own face: takes requests, checks them, and has steps committed."""

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from parley_services.accounting.clock_reader import Timekeeper
from parley_services.accounting.ledger.extend import Extend, ExtendRequest
from parley_services.accounting.ledger.levels import Terms
from parley_services.accounting.ledger.reserve import Reserve, ReserveRequest
from parley_services.accounting.ledger.settle import Settle, Settled, SettleRequest
from parley_services.accounting.ledger.turn import Turn, TurnKey
from parley_services.accounting.ledger.unit_of_work import LedgerStore
from parley_services.accounting.limits.admission import AdmissionRequest, Admissions
from parley_services.accounting.subjects import check_subject
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import FieldViolation, InvalidArgument, ServiceError

MAX_REQUEST_ID_CHARACTERS = 128
MAX_TOKENS = 10**8
MAX_TURN_TIMEOUT_SECONDS = 3600.0
MAX_INPUT_SENDS = 100
MAX_TAGS = 32
MAX_TAG_CHARACTERS = 128
MAX_ATTEMPTS = 100
MAX_TOLD_ATTEMPTS = 500
"""In one call of `ReportAttempts`."""

MAX_NAME_CHARACTERS = 512
"""Of a model, a provider, a template, or the version of a price table."""

MAX_COST_NANO_USD = 10**15
"""A million dollars for one call: no call costs as much, and sums of ten thousand fit 64 bits."""

_RESERVATIONS = uuid.UUID("6a1d7a1e-6f0e-4c55-9f0c-0f4f3c1b7a52")
"""The namespace of reservation ids that are made here."""


class Accounting:
    """Admits, reserves, extends, settles and releases turns."""

    def __init__(
        self,
        store: LedgerStore,
        *,
        admissions: Admissions,
        terms: Terms,
        timekeeper: Timekeeper,
    ) -> None:
        self._store = store
        self._admissions = admissions
        self._terms = terms
        self._timekeeper = timekeeper

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

        Raises InvalidArgument, RateLimited, ConcurrencyLimited, StateForbids while another run
        of the turn is admitted, DependencyUnavailable if the store is away.
        """
        violations = _turn_violations(request_id, subject, None)
        violations += _name_violations(reservation_id=reservation_id)
        if not reservation_id:
            violations.append(_violation("reservation_id", "must not be empty"))
        violations += _timeout_violations(turn_timeout_seconds)
        if violations:
            raise InvalidArgument.of(*violations)
        deadline_ns = await self._admissions.admit(
            self._admission(request_id, subject, reservation_id, turn_timeout_seconds)
        )
        return self._timekeeper.wall_time(deadline_ns)

    async def reserve(self, request: ReserveRequest) -> Turn:
        """
        Set aside what a turn may cost, and admit it first unless it is. Idempotent by request id.

        Raises InvalidArgument, RateLimited, ConcurrencyLimited, BudgetExhausted,
        PriceUnknown, StateForbids for a turn that has ended, DependencyUnavailable if the
        store is away.
        """
        _check_reserve(request)
        key = request.turn_key
        # Always the same for a turn, so that a repeated call finds what the first one made.
        reservation_id = request.reservation_id or uuid.uuid5(_RESERVATIONS, key.text).hex
        step = Reserve(
            request,
            terms=self._terms,
            moment=self._timekeeper.moment(),
            reservation_id=reservation_id,
        )
        if request.is_admitted:
            return await self._store.commit(step)
        timeout_seconds = request.turn_timeout_seconds
        await self._admissions.admit(
            self._admission(request.request_id, request.subject, reservation_id, timeout_seconds)
        )
        try:
            return await self._store.commit(step)
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
            lease_seconds=timeout_seconds + self._terms.lease_grace_seconds,
        )

    async def extend(self, request: ExtendRequest) -> Turn:
        """
        Set more aside for a turn that runs. Idempotent by step.

        Raises InvalidArgument, BudgetExhausted, NotFound, StateForbids,
        DependencyUnavailable if the store is away.
        """
        if request.step < 1:
            raise InvalidArgument.field("step", "must be 1 or more")
        for name in ("output_token_count", "input_token_count"):
            if not 0 <= getattr(request, name) <= MAX_TOKENS:
                raise InvalidArgument.field(name, f"must be 0 to {MAX_TOKENS}")
        if not 0 <= request.input_send_count <= MAX_INPUT_SENDS:
            raise InvalidArgument.field("input_send_count", f"must be 0 to {MAX_INPUT_SENDS}")
        if violations := _cost_violations("spent_nano_usd", request.spent_nano_usd):
            raise InvalidArgument.of(*violations)
        moment = self._timekeeper.moment()
        return await self._store.commit(Extend(request, terms=self._terms, moment=moment))

    async def settle(self, request: SettleRequest) -> Settled:
        """
        Book what a turn used; return after the commit. Idempotent by attempt.

        Raises InvalidArgument, DependencyUnavailable if the store is away or full.
        """
        _check_settle(request)
        moment = self._timekeeper.moment()
        settled = await self._store.commit(Settle(request, terms=self._terms, moment=moment))
        if request.ends_turn:
            await self._admissions.end(request.turn_key, request.reservation_id)
        return settled

    async def book(self, told: Sequence[SettleRequest]) -> int:
        """
        Book the attempts of *told*, a part of one turn each, that are not booked yet.

        Returns how many were, after the commit. Raises InvalidArgument, DependencyUnavailable
        if the store is away or full.
        """
        if not 1 <= len(told) <= MAX_TOLD_ATTEMPTS:
            raise InvalidArgument.field("attempts", f"must be 1 to {MAX_TOLD_ATTEMPTS}")
        for request in told:
            _check_settle(request)
        by_turn: dict[TurnKey, list[SettleRequest]] = defaultdict(list)
        for request in told:
            by_turn[request.turn_key].append(request)
        booked = await self._store.booked_attempts(by_turn.keys())
        moment = self._timekeeper.moment()
        steps, count = [], 0
        for key, parts in by_turn.items():
            known = booked.get(key, ())
            missing = [part for part in parts if part.attempts[0].number not in known]
            if missing:
                attempts = {part.attempts[0].number: part.attempts[0] for part in missing}
                count += len(attempts)
                request = replace(missing[-1], attempts=tuple(attempts.values()))
                steps.append(Settle(request, terms=self._terms, moment=moment))
        await asyncio.gather(*map(self._store.commit, steps))
        ended = (step.request.turn_key for step in steps if step.request.ends_turn)
        await asyncio.gather(*map(self._admissions.end, ended))
        return count

    async def release(self, request_id: str, subject: Subject, reservation_id: str = "") -> None:
        """
        End the reservation of a turn that used nothing, unless it is another. Idempotent.

        Raises InvalidArgument, DependencyUnavailable if the store is away.
        """
        await self.settle(
            SettleRequest(request_id=request_id, subject=subject, reservation_id=reservation_id)
        )

    def lease_end(self, turn: Turn) -> datetime:
        """Return when the lease of *turn* ends, by the wall clock."""
        return self._timekeeper.wall_time(turn.deadline_ns)


def _check_reserve(request: ReserveRequest) -> None:
    violations = _turn_violations(request.request_id, request.subject, request.tags)
    if not 0 <= request.input_token_count <= MAX_TOKENS:
        violations.append(_violation("input_token_count", f"must be 0 to {MAX_TOKENS}"))
    if not 0 <= request.max_output_token_count <= MAX_TOKENS:
        violations.append(_violation("max_output_token_count", f"must be 0 to {MAX_TOKENS}"))
    violations += _name_violations(
        model=request.model, template=request.template, reservation_id=request.reservation_id
    )
    if not 1 <= request.input_send_count <= MAX_INPUT_SENDS:
        violations.append(_violation("input_send_count", f"must be 0 to {MAX_INPUT_SENDS}"))
    violations += _timeout_violations(request.turn_timeout_seconds)
    if violations:
        raise InvalidArgument.of(*violations)


def _check_settle(request: SettleRequest) -> None:
    violations = _turn_violations(request.request_id, request.subject, request.tags)
    if len(request.attempts) > MAX_ATTEMPTS:
        violations.append(_violation("attempts", f"must be at most {MAX_ATTEMPTS}"))
    violations += _name_violations(model=request.model, template=request.template)
    violations += _cost_violations("saved_cost_nano_usd", request.saved_cost_nano_usd)
    numbers = set()
    for index, attempt in enumerate(request.attempts):
        where = f"attempts[{index}]"
        if attempt.number < 1 or attempt.number in numbers:
            violations.append(_violation(f"{where}.number", "must be 1 or more and given once"))
        numbers.add(attempt.number)
        usage = attempt.usage
        counts = (
            usage.input_token_count,
            usage.cached_input_token_count,
            usage.cache_write_token_count,
            usage.output_token_count,
            usage.reasoning_token_count,
        )
        if not all(0 <= count <= MAX_TOKENS for count in counts):
            violations.append(_violation(f"{where}.usage", f"counts must be 0 to {MAX_TOKENS}"))
        violations += _cost_violations(f"{where}.cost_nano_usd", attempt.cost_nano_usd)
        names = {
            f"{where}.provider": attempt.provider,
            f"{where}.model": attempt.model,
            f"{where}.price_version": attempt.price_version,
        }
        violations += _name_violations(**names)
    if violations:
        raise InvalidArgument.of(*violations)


def _turn_violations(request_id: str, subject: Subject, tags: object) -> list[FieldViolation]:
    check_subject(subject)
    violations = []
    if (
        not request_id
        or len(request_id) > MAX_REQUEST_ID_CHARACTERS
        or not request_id.isprintable()
    ):
        violations.append(
            _violation(
                "request_id", f"must be 1 to {MAX_REQUEST_ID_CHARACTERS} printable characters"
            )
        )
    if isinstance(tags, dict) and (
        len(tags) > MAX_TAGS
        or any(
            not name
            or len(name) > MAX_TAG_CHARACTERS
            or len(value) > MAX_TAG_CHARACTERS
            or "\0" in name + value
            for name, value in tags.items()
        )
    ):
        violations.append(
            _violation(
                "tags",
                f"must be at most {MAX_TAGS}, of at most {MAX_TAG_CHARACTERS} characters, none NUL",
            )
        )
    return violations


def _timeout_violations(turn_timeout_seconds: float) -> list[FieldViolation]:
    if 0 < turn_timeout_seconds <= MAX_TURN_TIMEOUT_SECONDS:
        return []
    return [
        _violation("turn_timeout", f"must be above 0 and at most {MAX_TURN_TIMEOUT_SECONDS:.0f} s")
    ]


def _name_violations(**names: str) -> list[FieldViolation]:
    return [
        _violation(field, f"must be at most {MAX_NAME_CHARACTERS} characters, none of them NUL")
        for field, name in names.items()
        if len(name) > MAX_NAME_CHARACTERS or "\0" in name
    ]


def _cost_violations(field: str, cost_nano_usd: int) -> list[FieldViolation]:
    if 0 <= cost_nano_usd <= MAX_COST_NANO_USD:
        return []
    return [_violation(field, f"must be 0 to {MAX_COST_NANO_USD}")]


def _violation(field: str, description: str) -> FieldViolation:
    return FieldViolation(field=field, description=description)
