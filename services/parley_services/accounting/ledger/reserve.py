"""Reserve: sets aside what a turn may cost, if its budgets and the policy allow it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from parley_services.accounting.clock_reader import Timestamp, to_us
from parley_services.accounting.ledger.policy_decision import Decision, PolicyDecision
from parley_services.accounting.ledger.pricing import Quote
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.room import check_room, least_room
from parley_services.accounting.ledger.subject_usage import (
    Levels,
    SubjectUsage,
    levels_of,
    reserve,
)
from parley_services.accounting.ledger.turn import Turn, TurnKey, TurnState
from parley_services.accounting.ledger.unit_of_work import LedgerTransaction, ReadSet
from parley_services.accounting.limits.admission import rate_limited, runs_already
from parley_services.accounting.limits.rate_limiter import Passed, Refused
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import StateForbids


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRequest:
    """What a turn may need."""

    request_id: str
    subject: Subject
    model: str = ""
    """A model, a group of the router, or empty for the default."""
    input_token_count: int = 0
    """Of one call, as it will be sent."""
    input_send_count: int = 1
    """How often the input may be sent before the first extension."""
    max_output_token_count: int = 0
    """Of one call; 0: unknown."""
    template: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    turn_timeout_seconds: float = 30.0
    reservation_id: str = ""
    """The caller's choice, one for each run of the turn; empty if any run is the same."""
    is_admitted: bool = False
    """Whether the turn was admitted before; if not, that comes first."""

    @property
    def turn_key(self) -> TurnKey:
        """The turn's identity."""
        return TurnKey(tenant_id=self.subject.tenant_id, request_id=self.request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hold:
    input_send_count: int
    amount_nano_usd: int


class Reserve:
    """
    The command behind `AccountingService.Reserve`.

    All levels are checked before any is changed. A call that is repeated gets the answer that
    it got before; a second run of a turn that is held is refused, for the two would number
    their attempts alike.
    """

    def __init__(
        self, request: ReserveRequest, *, context: PricingContext, reservation_id: str
    ) -> None:
        self._request = request
        self._context = context
        self._reservation_id = reservation_id
        self._length_key = (request.subject.tenant_id, request.template)

    @property
    def read_set(self) -> ReadSet:
        """The turn, the usage counters of its subject, and its template's usual length."""
        return ReadSet(
            turn=self._request.turn_key,
            subject=self._request.subject,
            length=self._length_key if self._request.template else None,
        )

    def run(self, transaction: LedgerTransaction) -> Turn:
        """
        Reserve.

        Raises RateLimited for the tokens per minute, BudgetExhausted, PriceUnknown, and
        StateForbids for a turn that has ended.
        """
        known = transaction.turn(self._request.turn_key)
        if known is not None:
            return self._repeat(known)
        request, timestamp = self._request, transaction.timestamp
        levels = levels_of(transaction, request.subject)
        output = self._output_token_count(transaction)
        tokens = request.input_token_count + output
        passed = [self._check_tokens(level, tokens, timestamp) for level in levels]
        decision = PolicyDecision(
            transaction,
            levels,
            self._context,
            input_token_count=request.input_token_count,
            output_token_count=output,
        ).decide(request.model)
        hold = _Hold(input_send_count=0, amount_nano_usd=0)
        if decision.kind is not BudgetDecision.CACHE_ONLY:
            hold = self._hold(transaction, levels, decision.quote, output)
        for level, each in zip(levels, passed, strict=True):
            level.counter.tokens = each
        reserve(transaction, levels, hold.amount_nano_usd)
        turn = self._turn(decision, hold, output=output, timestamp=timestamp)
        transaction.put_turn(turn)
        return turn

    def _repeat(self, known: Turn) -> Turn:
        if known.state is not TurnState.HELD:
            raise StateForbids("This turn has ended: begin a new one with a new request id.")
        if self._request.reservation_id not in ("", known.reservation_id):
            raise runs_already()
        return known

    def _output_token_count(self, transaction: LedgerTransaction) -> int:
        usual = None
        if self._request.template:
            usual = transaction.length(self._length_key).estimate()
        estimate = usual or self._context.policy.output_estimate.token_count
        limit = self._request.max_output_token_count
        return min(estimate, limit) if limit else estimate

    def _check_tokens(self, level: SubjectUsage, tokens: int, at: Timestamp) -> Passed:
        per_minute, passed = level.limits.tokens_per_minute, level.counter.tokens
        if not per_minute:
            return passed
        match self._context.limiter.check(
            passed, now_ns=at.monotonic_ns, count=tokens, per_minute=per_minute
        ):
            case Refused() as refused:
                raise rate_limited(level.key, "tokens", per_minute, refused)
            case after:
                return after

    def _hold(
        self, transaction: LedgerTransaction, levels: Levels, quote: Quote, output: int
    ) -> _Hold:
        request = self._request
        sends, amount = quote.hold(
            request.input_token_count, output, request.input_send_count, least_room(levels)
        )
        check_room(transaction, levels, amount)
        return _Hold(input_send_count=sends, amount_nano_usd=amount)

    def _turn(self, decision: Decision, hold: _Hold, *, output: int, timestamp: Timestamp) -> Turn:
        request = self._request
        lease_seconds = request.turn_timeout_seconds + self._context.lease_grace_seconds
        lease_ns = int(lease_seconds * 1e9)
        return Turn(
            key=request.turn_key,
            reservation_id=self._reservation_id,
            state=TurnState.HELD,
            subject=request.subject,
            create_time_us=to_us(timestamp.utc),
            decision=decision.kind,
            policy_rule=decision.policy_rule,
            model=decision.quote.model,
            downgrade_model=decision.quote.model if decision.is_downgraded else "",
            input_token_count=request.input_token_count,
            input_send_count=hold.input_send_count,
            max_output_token_count=request.max_output_token_count,
            covered_output_token_count=output,
            amount_nano_usd=hold.amount_nano_usd,
            charged_token_count=request.input_token_count + output,
            lease_ns=lease_ns,
            deadline_ns=timestamp.monotonic_ns + lease_ns,
            template=request.template,
            tags=request.tags,
        )
