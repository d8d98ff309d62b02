"""Expire: how a reservation ends when no one says what was used."""

from dataclasses import replace

from parley_services.accounting.clock_reader import Moment, to_us
from parley_services.accounting.ledger.entry import Account, Entry
from parley_services.accounting.ledger.levels import Terms, book, free, levels_of
from parley_services.accounting.ledger.turn import BudgetDecision, TurnKey, TurnState
from parley_services.accounting.ledger.unit_of_work import Books, Needs


class Expire:
    """
    Ends a reservation whose lease is over and books the best estimate of what was used.

    If the turn is settled after all, the estimate is taken back by a correction.
    """

    def __init__(self, key: TurnKey, *, terms: Terms, moment: Moment) -> None:
        self._key = key
        self._terms = terms
        self._moment = moment

    @property
    def needs(self) -> Needs:
        """The turn and the meters of its subject."""
        return Needs(turn=self._key)

    def run(self, books: Books) -> bool:
        """Expire, if the lease is over by now; say whether it was."""
        turn = books.turn(self._key)
        if (
            turn is None
            or turn.state is not TurnState.HELD
            or turn.deadline_ns > self._moment.steady_ns
        ):
            return False
        now_us = to_us(self._moment.now)
        quote = self._terms.pricer.quote_running(turn.model, self._moment.now)
        usage = turn.estimated_usage
        cost = turn.spent_nano_usd
        if turn.decision is not BudgetDecision.CACHE_ONLY:
            cost += quote.cost_nano_usd(usage)
        books.append(
            Entry(
                tenant_id=turn.key.tenant_id,
                request_id=turn.key.request_id,
                attempt_number=0,
                account=Account.EXPIRY,
                subject=turn.subject,
                model=turn.model,
                usage=usage,
                cost_nano_usd=cost,
                price_version=quote.version,
                template=turn.template,
                tags=turn.tags,
                turn_count=1,
                end_time_us=now_us,
                create_time_us=now_us,
            )
        )
        levels = levels_of(books, turn.subject, self._moment.now)
        free(books, levels, turn.amount_nano_usd)
        book(books, levels, cost, self._terms, self._moment.now)
        books.put_turn(
            replace(
                turn,
                state=TurnState.EXPIRED,
                amount_nano_usd=0,
                cost_nano_usd=turn.cost_nano_usd + cost,
                expiry_cost_nano_usd=cost,
            )
        )
        return True
