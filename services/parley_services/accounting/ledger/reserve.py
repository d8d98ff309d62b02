"""Reserve: sets aside what a turn may cost, if its budgets and the policy allow it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from parley_services.accounting.clock_reader import Moment, to_us
from parley_services.accounting.ledger.levels import Level, Terms, alert_exhausted, levels_of
from parley_services.accounting.ledger.pricing import Quote
from parley_services.accounting.ledger.turn import BudgetDecision, Turn, TurnKey, TurnState
from parley_services.accounting.ledger.unit_of_work import Books, Needs
from parley_services.accounting.limits.admission import rate_limited, runs_already
from parley_services.accounting.limits.alerts import Alert, AlertKind
from parley_services.accounting.limits.allowances import Budget
from parley_services.accounting.limits.budget_policy import PolicyAction, Rule
from parley_services.accounting.limits.rate_limiter import Passed, Refused
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import BudgetExhausted, StateForbids

_BUSY_RETRY_SECONDS = 1.0
"""When to try again if only other running turns are in the way; they end in seconds."""

_ENDLESS = 2**62
"""Room where no hard budget holds."""


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
class _Choice:
    decision: BudgetDecision
    quote: Quote
    rule: Rule | None = None
    level: Level | None = None


class Reserve:
    """
    The step behind `AccountingService.Reserve`.

    All levels are checked before any is changed. A call that is repeated gets the answer that
    it got before; a second run of a turn that is held is refused, for the two would number
    their attempts alike.
    """

    def __init__(
        self, request: ReserveRequest, *, terms: Terms, moment: Moment, reservation_id: str
    ) -> None:
        self._request = request
        self._terms = terms
        self._moment = moment
        self._reservation_id = reservation_id
        self._length_key = (request.subject.tenant_id, request.template)
        # Priced before the books are locked; raises PriceUnknown.
        self._asked = terms.pricer.quote(request.model, moment.now)

    @property
    def needs(self) -> Needs:
        """The turn, the meters of its subject, and its template's usual length."""
        return Needs(
            turn=self._request.turn_key,
            subject=self._request.subject,
            length=self._length_key if self._request.template else None,
        )

    def run(self, books: Books) -> Turn:
        """
        Reserve.

        Raises RateLimited for the tokens per minute, BudgetExhausted, and StateForbids for a
        turn that has ended.
        """
        known = books.turn(self._request.turn_key)
        if known is not None:
            if known.state is TurnState.HELD:
                if self._request.reservation_id not in ("", known.reservation_id):
                    raise runs_already()
                return known
            raise StateForbids("This turn has ended: begin a new one with a new request id.")
        request = self._request
        levels = levels_of(books, request.subject, self._moment.now)
        output = self._output_token_count(books)
        tokens = request.input_token_count + output
        passed = [self._check_tokens(level, tokens) for level in levels]
        choice = self._choose(books, levels, output)
        sends, amount = 0, 0
        if choice.decision is not BudgetDecision.CACHE_ONLY:
            sends, amount = self._amount(books, levels, choice.quote, output)

        for level, each in zip(levels, passed, strict=True):
            level.meter.tokens = each
            level.meter.hold(amount)
            books.meter_changed(level.meter)
        turn = self._turn(choice, sends=sends, amount=amount, output=output, tokens=tokens)
        books.put_turn(turn)
        return turn

    def _amount(
        self, books: Books, levels: tuple[Level, ...], quote: Quote, output: int
    ) -> tuple[int, int]:
        """Return for how many sendings of the input there is room, and the amount to set aside."""
        request = self._request
        sends, amount = quote.hold(
            request.input_token_count, output, request.input_send_count, least_room(levels)
        )
        check_room(books, levels, amount, self._moment.now)
        return sends, amount

    def _output_token_count(self, books: Books) -> int:
        usual = None
        if self._request.template:
            usual = books.length(self._length_key).estimate()
        estimate = usual or self._terms.policy.output_estimate.token_count
        limit = self._request.max_output_token_count
        return min(estimate, limit) if limit else estimate

    def _check_tokens(self, level: Level, tokens: int) -> Passed:
        per_minute, passed = level.limits.tokens_per_minute, level.meter.tokens
        if not per_minute:
            return passed
        now_ns = self._moment.steady_ns
        match self._terms.limiter.check(passed, now_ns=now_ns, count=tokens, per_minute=per_minute):
            case Refused() as refused:
                raise rate_limited(level.key, "tokens", per_minute, refused)
            case after:
                return after

    def _choose(self, books: Books, levels: tuple[Level, ...], output: int) -> _Choice:
        """Apply the first rule of the policy that holds."""
        by_level = {level.key.level: level for level in levels}
        for rule in self._terms.policy.rules:
            level = by_level.get(rule.when.level)
            if (
                level is None
                or level.meter.committed(rule.when.period) < rule.when.committed_nano_usd
            ):
                continue
            choice = self._consequence(books, rule, level, output)
            if choice is not None:
                self._alert_rule(books, rule, level)
                return choice
        return _Choice(decision=BudgetDecision.ALLOW, quote=self._asked)

    def _consequence(self, books: Books, rule: Rule, level: Level, output: int) -> _Choice | None:
        limit = rule.then.max_input_token_count
        if limit is not None and self._request.input_token_count > limit:
            self._alert_rule(books, rule, level)
            raise _too_long(level, rule, limit, self._moment.now)
        quote = self._asked
        if rule.then.model:
            cheaper = self._terms.pricer.quote(rule.then.model, self._moment.now)
            size = (self._request.input_token_count, output)
            if cheaper.estimate_nano_usd(*size) < quote.estimate_nano_usd(*size):
                quote = cheaper
        match rule.then.action:
            case PolicyAction.DOWNGRADE:
                if quote is self._asked:
                    return None
                decision = BudgetDecision.DOWNGRADE
            case PolicyAction.CACHE_FIRST:
                decision = BudgetDecision.CACHE_FIRST
            case PolicyAction.CACHE_ONLY:
                decision = BudgetDecision.CACHE_ONLY
            case PolicyAction.DENY:
                self._alert_rule(books, rule, level)
                raise _denied(level, rule, self._moment.now)
        return _Choice(decision=decision, quote=quote, rule=rule, level=level)

    def _alert_rule(self, books: Books, rule: Rule, level: Level) -> None:
        """Alert, once a day for a subject, that a rule has begun to act."""
        acted = level.meter.day_policy_rules.split()
        if rule.id in acted:
            return
        level.meter.day_policy_rules = " ".join([*acted, rule.id])
        books.meter_changed(level.meter)
        books.alert(
            Alert(
                kind=AlertKind.POLICY_ACTION,
                key=level.key,
                message=f"The rule {rule.id} acts on {level.name}: {rule.then.action.value}.",
                used_nano_usd=level.meter.used(rule.when.period),
                limit_nano_usd=rule.when.committed_nano_usd,
                create_time_us=to_us(self._moment.now),
            )
        )

    def _turn(self, choice: _Choice, *, sends: int, amount: int, output: int, tokens: int) -> Turn:
        request = self._request
        lease_seconds = request.turn_timeout_seconds + self._terms.lease_grace_seconds
        lease_ns = int(lease_seconds * 1e9)
        changed = choice.quote is not self._asked
        return Turn(
            key=request.turn_key,
            reservation_id=self._reservation_id,
            state=TurnState.HELD,
            subject=request.subject,
            create_time_us=to_us(self._moment.now),
            decision=choice.decision,
            policy_rule=choice.rule.id if choice.rule else "",
            model=choice.quote.model,
            downgrade_model=choice.quote.model if changed else "",
            input_token_count=request.input_token_count,
            input_send_count=sends,
            max_output_token_count=request.max_output_token_count,
            covered_output_token_count=output,
            amount_nano_usd=amount,
            charged_token_count=tokens,
            lease_ns=lease_ns,
            deadline_ns=self._moment.steady_ns + lease_ns,
            template=request.template,
            tags=request.tags,
        )


def check_room(books: Books, levels: tuple[Level, ...], amount: int, now: datetime) -> None:
    """Raise BudgetExhausted if a hard budget of *levels* has no room for *amount*, above 0."""
    if not amount:
        return
    for level in levels:
        for budget in level.limits.budgets:
            if budget.is_hard and amount > room(level, budget):
                alert_exhausted(books, level, budget, now)
                raise _exhausted(level, budget, amount, now)


def room(level: Level, budget: Budget) -> int:
    """Return how many nano-dollars a budget has left; negative if it is overdrawn."""
    return budget.limit_nano_usd - level.meter.committed(budget.period)


def least_room(levels: tuple[Level, ...]) -> int:
    """Return what the tightest hard budget has left."""
    rooms = [
        room(level, budget) for level in levels for budget in level.limits.budgets if budget.is_hard
    ]
    return min(rooms, default=_ENDLESS)


def _exhausted(level: Level, budget: Budget, amount: int, now: datetime) -> BudgetExhausted:
    used = level.meter.used(budget.period)
    metadata = {
        "subject": level.name,
        "limit_nano_usd": str(budget.limit_nano_usd),
        "used_nano_usd": str(used),
    }
    reset_time = budget.period.reset_time(now)
    if reset_time is not None:
        metadata["reset_time"] = reset_time.isoformat().replace("+00:00", "Z")
    only_busy = used + amount <= budget.limit_nano_usd
    until = f"; it begins anew at {metadata['reset_time']}" if reset_time else ""
    return BudgetExhausted(
        f"The {budget.period.value} budget of {level.name} has no room for this turn{until}.",
        metadata=metadata,
        retry_after_seconds=_BUSY_RETRY_SECONDS if only_busy else None,
    )


def _too_long(level: Level, rule: Rule, limit: int, now: datetime) -> BudgetExhausted:
    return BudgetExhausted(
        f"The rule {rule.id} lets turns of at most {limit} input tokens through: "
        "shorten the input.",
        metadata=_rule_metadata(level, rule, now),
    )


def _denied(level: Level, rule: Rule, now: datetime) -> BudgetExhausted:
    return BudgetExhausted(
        f"The rule {rule.id} lets no turn of {level.name} through.",
        metadata=_rule_metadata(level, rule, now),
    )


def _rule_metadata(level: Level, rule: Rule, now: datetime) -> dict[str, str]:
    metadata = {
        "subject": level.name,
        "limit_nano_usd": str(rule.when.committed_nano_usd),
        "used_nano_usd": str(level.meter.used(rule.when.period)),
        "policy_rule": rule.id,
    }
    reset_time = rule.when.period.reset_time(now)
    if reset_time is not None:
        metadata["reset_time"] = reset_time.isoformat().replace("+00:00", "Z")
    return metadata
