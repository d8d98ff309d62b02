"""Expire: how a reservation ends when no one says what was used."""

from dataclasses import replace

from parley_services.accounting.clock_reader import to_us
from parley_services.accounting.ledger.entry import Account, Entry
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.subject_usage import book, levels_of, reserve
from parley_services.accounting.ledger.turn import TurnKey, TurnState
from parley_services.accounting.ledger.unit_of_work import LedgerTransaction, ReadSet
from parley_services.kit.chat.budget import BudgetDecision


class Expire:
    """
    Ends a reservation whose lease is over and books the best estimate of what was used.

    If the turn is settled after all, the estimate is taken back by a correction.
    """

    def __init__(self, key: TurnKey, *, context: PricingContext) -> None:
        self._key = key
        self._context = context

    @property
    def read_set(self) -> ReadSet:
        """The turn and the usage counters of its subject."""
        return ReadSet(turn=self._key)

    def run(self, transaction: LedgerTransaction) -> bool:
        """Expire, if the lease is over by now; say whether it was."""
        turn = transaction.turn(self._key)
        if (
            turn is None
            or turn.state is not TurnState.HELD
            or turn.deadline_ns > transaction.timestamp.monotonic_ns
        ):
            return False
        now_us = to_us(transaction.timestamp.utc)
        quote = self._context.pricer.quote_running(turn.model, transaction.timestamp.utc)
        usage = turn.estimated_usage
        cost = turn.spent_nano_usd
        if turn.decision is not BudgetDecision.CACHE_ONLY:
            cost += quote.cost_nano_usd(usage)
        transaction.append(
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
        levels = levels_of(transaction, turn.subject)
        reserve(transaction, levels, -turn.amount_nano_usd)
        book(transaction, levels, cost, self._context)
        transaction.put_turn(
            replace(
                turn,
                state=TurnState.EXPIRED,
                amount_nano_usd=0,
                cost_nano_usd=turn.cost_nano_usd + cost,
                expiry_cost_nano_usd=cost,
            )
        )
        return True
