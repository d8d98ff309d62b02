"""Extend: adjusts the hold of a turn to how far it is, and prolongs its lease."""

from dataclasses import dataclass, replace

from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.room import check_room, least_room
from parley_services.accounting.ledger.subject_usage import Levels, levels_of, reserve
from parley_services.accounting.ledger.turn import Turn, TurnState
from parley_services.accounting.ledger.unit_of_work import LedgerTransaction, ReadSet
from parley_services.kit.errors import NotFound, StateForbids


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendRequest:
    """How far a turn is."""

    request_id: str
    reservation_id: str
    step: int
    """From 1."""
    output_token_count: int
    """Of the running attempts so far."""
    model: str = ""
    """The model that writes; empty: as before."""
    spent_nano_usd: int = 0
    """What ended attempts cost."""
    input_token_count: int = 0
    """Of the running attempts together; 0: as before."""
    input_send_count: int = 0
    """How often such an input may be sent before the next extension; 0: as before."""


class Extend:
    """
    The command behind `AccountingService.Extend`.

    The hold becomes what ended attempts cost, the input as often as it may still be sent, and
    the output so far and a stretch more, at the price of the model that writes. When that does
    not fit into a hard budget, what is left of it is given; a turn may so be told several times
    how far it may go, until nothing is left.
    """

    def __init__(self, request: ExtendRequest, *, context: PricingContext) -> None:
        self._request = request
        self._context = context

    @property
    def read_set(self) -> ReadSet:
        """The turn and the usage counters of its subject."""
        return ReadSet(reservation_id=self._request.reservation_id)

    def run(self, transaction: LedgerTransaction) -> Turn:
        """
        Extend. A step that was taken before changes nothing.

        Raises BudgetExhausted if no token more is covered, NotFound for an unknown
        reservation, StateForbids for one that has ended.
        """
        turn = transaction.turn_of(self._request.reservation_id)
        if turn is None or turn.key.request_id != self._request.request_id:
            raise NotFound(
                "There is no such reservation: reserve first.",
                resource_type="reservation",
                resource_name=self._request.reservation_id,
            )
        if turn.state is not TurnState.HELD:
            raise StateForbids(f"The reservation has ended: it is {turn.state.value}.")
        if self._request.step <= turn.step:
            return turn
        levels = levels_of(transaction, turn.subject)
        extended = self._extended(transaction, turn, levels)
        reserve(transaction, levels, extended.amount_nano_usd - turn.amount_nano_usd)
        transaction.put_turn(extended)
        return extended

    def _extended(self, transaction: LedgerTransaction, turn: Turn, levels: Levels) -> Turn:
        request = self._request
        quote = self._context.pricer.quote_running(
            request.model or turn.model, transaction.timestamp.utc, turn.model
        )
        produced, spent = request.output_token_count, max(request.spent_nano_usd, 0)
        sent = request.input_token_count or turn.input_token_count
        left = turn.amount_nano_usd + least_room(levels)
        covered = max(turn.covered_output_token_count, self._wanted(turn))
        sends, amount = quote.hold(
            sent, covered, request.input_send_count or turn.input_send_count, left - spent
        )
        amount += spent
        if amount > left:
            covered = min(covered, quote.output_token_count_for(left - spent, sent))
            if covered <= produced:
                check_room(transaction, levels, amount - turn.amount_nano_usd)
            amount = min(left, spent + quote.estimate_nano_usd(sent, covered))
        return replace(
            turn,
            step=request.step,
            model=quote.model,
            spent_nano_usd=spent,
            input_token_count=sent,
            input_send_count=sends,
            produced_output_token_count=produced,
            covered_output_token_count=covered,
            amount_nano_usd=amount,
            deadline_ns=max(turn.deadline_ns, transaction.timestamp.monotonic_ns + turn.lease_ns),
        )

    def _wanted(self, turn: Turn) -> int:
        produced = self._request.output_token_count
        wanted = produced + self._context.policy.output_estimate.extension_token_count
        limit = turn.max_output_token_count
        # The caller's count is an estimate, so it may pass the limit; go on nevertheless.
        return min(wanted, limit) if limit > produced else wanted
