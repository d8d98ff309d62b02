"""Settle: books what a turn used, attempt by attempt, and ends its reservation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from parley_services.accounting.clock_reader import Timestamp, to_us
from parley_services.accounting.ledger.entry import Account, Entry
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.subject_usage import Levels, book, levels_of, reserve
from parley_services.accounting.ledger.turn import Turn, TurnKey, TurnState
from parley_services.accounting.ledger.unit_of_work import LedgerTransaction, ReadSet
from parley_services.accounting.subjects import SubjectLevel
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import Attempt, AttemptKind
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.errors import StateForbids

_BESIDE = {AttemptKind.SHADOW, AttemptKind.EMBEDDING}
"""Kinds of attempts that do not write the answer, and so say nothing of its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleRequest:
    """What a turn used."""

    request_id: str
    subject: Subject
    attempts: tuple[Attempt, ...] = ()
    source: AnswerSource = AnswerSource.UNSPECIFIED
    saved_cost_nano_usd: int = 0
    template: str = ""
    template_version: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    end_time: datetime | None = None
    model: str = ""
    """The model of the answer."""
    reservation_id: str = ""
    """The reservation that ends; empty: whichever the turn has."""

    @property
    def turn_key(self) -> TurnKey:
        """The turn's identity."""
        return TurnKey(tenant_id=self.subject.tenant_id, request_id=self.request_id)

    @property
    def ends_turn(self) -> bool:
        """Whether it says how the turn ended, not only what was used beside it."""
        if self.source is not AnswerSource.UNSPECIFIED or not self.attempts:
            return True
        return any(attempt.kind not in _BESIDE for attempt in self.attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What is booked for a turn."""

    cost_nano_usd: int
    was_settled: bool
    """Whether all of it had been booked before."""


class Settle:
    """
    The command behind `AccountingService.Settle` and, without attempts and source, `Release`.

    It always books: the money is spent, whatever the budgets say. An attempt that is booked
    is not booked again, so a turn may be settled again, also with more attempts. If the
    lease had ended, the estimate that was booked then is taken back. What was used only
    beside the answer is booked, and the turn goes on. A settlement with the reservation id of
    another run of the turn is refused if it has attempts, and else changes nothing.
    """

    def __init__(self, request: SettleRequest, *, context: PricingContext) -> None:
        self.request = self._request = request
        self._context = context

    @property
    def read_set(self) -> ReadSet:
        """The turn, the usage counters of its subject, and its template's usual length."""
        request = self._request
        return ReadSet(
            turn=request.turn_key,
            subject=request.subject,
            length=(request.subject.tenant_id, request.template) if request.template else None,
        )

    def run(self, transaction: LedgerTransaction) -> Settled:
        """Settle."""
        request, timestamp = self._request, transaction.timestamp
        known = transaction.turn(request.turn_key)
        turn = known or Turn(
            key=request.turn_key,
            reservation_id=request.reservation_id,
            state=TurnState.SETTLED,
            subject=request.subject,
            create_time_us=to_us(timestamp.utc),
        )
        if turn.reservation_id and request.reservation_id not in ("", turn.reservation_id):
            return self._refuse_other_run(turn)
        entries = [each for each in self._entries(turn, timestamp) if not _is_booked(each, turn)]
        if not entries and turn.state in (TurnState.SETTLED, TurnState.RELEASED):
            return Settled(cost_nano_usd=turn.cost_nano_usd, was_settled=known is not None)

        levels = levels_of(transaction, turn.subject)
        ends = request.ends_turn
        if ends and turn.state is TurnState.EXPIRED:
            entries.insert(0, self._correction(turn, timestamp))
        if ends and turn.state is TurnState.HELD:
            reserve(transaction, levels, -turn.amount_nano_usd)
            used = sum(_tokens(entry) for entry in entries if entry.account is Account.USAGE)
            self._correct_tokens(timestamp, levels, turn, turn.charged_token_count - used)
        for entry in entries:
            transaction.append(entry)
            payers = _levels_that_pay(levels, entry)
            book(transaction, payers, entry.cost_nano_usd, self._context)
        self._learn_length(transaction)
        booked = {entry.attempt_number for entry in entries if not entry.is_correction}
        settled = replace(
            turn,
            booked_attempts=tuple(sorted(booked.union(turn.booked_attempts))),
            cost_nano_usd=turn.cost_nano_usd + sum(entry.cost_nano_usd for entry in entries),
        )
        if ends or turn.state is TurnState.RELEASED:
            was_used = bool(settled.booked_attempts)
            settled = replace(
                settled,
                state=TurnState.SETTLED if was_used else TurnState.RELEASED,
                amount_nano_usd=0,
                expiry_cost_nano_usd=0,
            )
        transaction.put_turn(settled)
        return Settled(cost_nano_usd=settled.cost_nano_usd, was_settled=False)

    def _refuse_other_run(self, turn: Turn) -> Settled:
        """Leave a turn that another run of it has reserved as it is."""
        if self._request.attempts:
            raise StateForbids(
                "Another run of this turn has its reservation: settle with that reservation's id."
            )
        return Settled(cost_nano_usd=turn.cost_nano_usd, was_settled=True)

    def _entries(self, turn: Turn, at: Timestamp) -> list[Entry]:
        """Return what this settlement says was used, booked before or not."""
        request = self._request
        attempts = request.attempts
        has_reuse = request.source.is_cache or request.source is AnswerSource.COALESCED
        counted = -1
        if not turn.booked_attempts and not has_reuse and attempts:
            # The last one that writes is the one that answered.
            counted = max(range(len(attempts)), key=lambda i: (attempts[i].kind not in _BESIDE, i))
        entries = [
            self._attempt_entry(turn, at, attempt, turn_count=int(index == counted))
            for index, attempt in enumerate(attempts)
        ]
        if has_reuse:
            entries.append(
                self._entry(
                    turn,
                    at,
                    model=request.model,
                    saved_cost_nano_usd=request.saved_cost_nano_usd,
                    cache_hit_count=int(request.source.is_cache),
                    turn_count=int(not turn.booked_attempts),
                )
            )
        return entries

    def _attempt_entry(
        self, turn: Turn, at: Timestamp, attempt: Attempt, *, turn_count: int
    ) -> Entry:
        cost, version = attempt.cost_nano_usd, attempt.price_version
        if not version:
            quote = self._context.pricer.quote_used(
                attempt.provider, attempt.model, self._end_time(at), turn.model
            )
            cost, version = quote.cost_nano_usd(attempt.usage), quote.version
        return self._entry(
            turn,
            at,
            attempt_number=attempt.number,
            account=Account.SHADOW if attempt.kind is AttemptKind.SHADOW else Account.USAGE,
            provider=attempt.provider,
            model=attempt.model,
            kind=attempt.kind or AttemptKind.PRIMARY,
            usage=attempt.usage,
            cost_nano_usd=cost,
            price_version=version,
            turn_count=turn_count,
            attempt_count=1,
        )

    def _entry(
        self,
        turn: Turn,
        at: Timestamp,
        *,
        attempt_number: int = 0,
        account: Account = Account.USAGE,
        **fields: Any,
    ) -> Entry:
        """Return an entry of *turn*. Made in one go: copying one costs as much as its hash."""
        request = self._request
        return Entry(
            tenant_id=turn.key.tenant_id,
            request_id=turn.key.request_id,
            attempt_number=attempt_number,
            account=account,
            subject=turn.subject,
            template=request.template or turn.template,
            template_version=request.template_version,
            tags=request.tags or turn.tags,
            end_time_us=to_us(self._end_time(at)),
            create_time_us=to_us(at.utc),
            **fields,
        )

    def _end_time(self, at: Timestamp) -> datetime:
        # A caller's clock may be ahead; nothing ends in the future.
        return min(self._request.end_time or at.utc, at.utc)

    def _correction(self, turn: Turn, at: Timestamp) -> Entry:
        """Return the entry that takes the expiry's estimate back."""
        usage = turn.estimated_usage
        return self._entry(
            turn,
            at,
            account=Account.EXPIRY,
            is_correction=True,
            model=turn.model,
            usage=Usage(
                input_token_count=-usage.input_token_count,
                output_token_count=-usage.output_token_count,
                estimated=True,
            ),
            cost_nano_usd=-turn.expiry_cost_nano_usd,
            turn_count=-1,
        )

    def _correct_tokens(self, at: Timestamp, levels: Levels, turn: Turn, token_count: int) -> None:
        """Correct the tokens per minute by what was charged but not used."""
        for level in levels:
            if level.limits.tokens_per_minute:
                level.counter.tokens = self._context.limiter.correct(
                    level.counter.tokens,
                    charged_ns=turn.create_time_us * 1000,
                    now_ns=at.monotonic_ns,
                    count=token_count,
                )

    def _learn_length(self, transaction: LedgerTransaction) -> None:
        request = self._request
        if not request.template or request.source is not AnswerSource.MODEL:
            return
        written = [a.usage.output_token_count for a in request.attempts if a.kind not in _BESIDE]
        if written:
            key = (request.subject.tenant_id, request.template)
            quantile = self._context.policy.output_estimate.quantile
            transaction.put_length(key, transaction.length(key).learn(max(written), quantile))


def _levels_that_pay(levels: Levels, entry: Entry) -> Levels:
    if entry.account is not Account.SHADOW:
        return levels
    return tuple(level for level in levels if level.key.level is SubjectLevel.SUITE)


def _is_booked(entry: Entry, turn: Turn) -> bool:
    return entry.attempt_number in turn.booked_attempts


def _tokens(entry: Entry) -> int:
    return entry.usage.input_token_count + entry.usage.output_token_count
