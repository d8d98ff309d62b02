"""Extend: sets more aside for a turn whose answer grows, and prolongs its lease."""

from dataclasses import dataclass, replace

from parley_services.accounting.clock_reader import Moment
from parley_services.accounting.ledger.levels import Level, Terms, levels_of
from parley_services.accounting.ledger.reserve import check_room, room
from parley_services.accounting.ledger.turn import Turn, TurnState
from parley_services.accounting.ledger.unit_of_work import Books, Needs
from parley_services.kit.errors import NotFound, StateForbids


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendRequest:
    """How far a turn is."""

    request_id: str
    reservation_id: str
    step: int
    """From 1."""
    output_token_count: int
    """Output tokens so far."""
    model: str = ""
    """The model that writes; empty: the one that was reserved for."""


class Extend:
    """
    The step behind `AccountingService.Extend`.

    When the whole extension does not fit into a hard budget, what is left of it is given;
    a turn may so be told several times how far it may go, until nothing is left.
    """

    def __init__(self, request: ExtendRequest, *, terms: Terms, moment: Moment) -> None:
        self._request = request
        self._terms = terms
        self._moment = moment

    @property
    def needs(self) -> Needs:
        """The turn and the meters of its subject."""
        return Needs(reservation_id=self._request.reservation_id)

    def run(self, books: Books) -> Turn:
        """
        Extend. A step that was taken before changes nothing.

        Raises BudgetExhausted if no token more is covered, NotFound for an unknown
        reservation, StateForbids for one that has ended.
        """
        turn = books.turn_of(self._request.reservation_id)
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
        levels = levels_of(books, turn.subject, self._moment.now)
        extended = self._extended(books, turn, levels)
        added = extended.amount_nano_usd - turn.amount_nano_usd
        for level in levels:
            level.meter.reserved_nano_usd += added
            books.meter_changed(level.meter)
        books.put_turn(extended)
        return extended

    def _extended(self, books: Books, turn: Turn, levels: tuple[Level, ...]) -> Turn:
        quote = self._terms.pricer.quote_running(
            self._request.model or turn.model, self._moment.now
        )
        produced = self._request.output_token_count
        covered = max(turn.covered_output_token_count, self._wanted(turn))
        amount = quote.estimate_nano_usd(turn.input_token_count, covered)
        left = turn.amount_nano_usd + _least_room(levels)
        if amount > left:
            covered = quote.output_token_count_for(
                left - quote.estimate_nano_usd(turn.input_token_count, 0), turn.input_token_count
            )
            if covered <= produced:
                check_room(books, levels, amount - turn.amount_nano_usd, self._moment.now)
            amount = min(left, quote.estimate_nano_usd(turn.input_token_count, covered))
        return replace(
            turn,
            step=self._request.step,
            model=quote.model,
            produced_output_token_count=produced,
            covered_output_token_count=covered,
            amount_nano_usd=max(amount, turn.amount_nano_usd),
            deadline_ns=max(turn.deadline_ns, self._moment.steady_ns + turn.lease_ns),
        )

    def _wanted(self, turn: Turn) -> int:
        produced = self._request.output_token_count
        wanted = produced + self._terms.policy.output_estimate.extension_token_count
        limit = turn.max_output_token_count
        # The caller's count is an estimate, so it may pass the limit; go on nevertheless.
        return min(wanted, limit) if limit > produced else wanted


def _least_room(levels: tuple[Level, ...]) -> int:
    """Return what the tightest hard budget has left."""
    rooms = [
        room(level, budget) for level in levels for budget in level.limits.budgets if budget.is_hard
    ]
    return min(rooms, default=2**62)
