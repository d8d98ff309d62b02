"""What the budget policy decides about a turn."""

from dataclasses import dataclass
from datetime import datetime

from parley_services.accounting.clock_reader import to_us
from parley_services.accounting.ledger.pricing import Quote
from parley_services.accounting.ledger.pricing_context import PricingContext
from parley_services.accounting.ledger.room import reset_metadata
from parley_services.accounting.ledger.subject_usage import Levels, SubjectUsage
from parley_services.accounting.ledger.unit_of_work import LedgerTransaction
from parley_services.accounting.limits.alerts import Alert, AlertKind
from parley_services.accounting.limits.budget_policy import PolicyAction, Rule
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.errors import BudgetExhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a turn may do, and at which price."""

    kind: BudgetDecision
    quote: Quote
    is_downgraded: bool = False
    """Whether another model than the one asked for shall answer."""
    policy_rule: str = ""
    """The rule that decided; empty for none."""


class PolicyDecision:
    """Applies the rules of the policy to one turn: the first that holds decides."""

    def __init__(
        self,
        transaction: LedgerTransaction,
        levels: Levels,
        context: PricingContext,
        *,
        input_token_count: int,
        output_token_count: int,
    ) -> None:
        self._transaction = transaction
        self._now = transaction.timestamp.utc
        self._levels = {level.key.level: level for level in levels}
        self._context = context
        self._input_token_count = input_token_count
        self._output_token_count = output_token_count

    def decide(self, model: str) -> Decision:
        """
        Return what a turn that asks for *model* may do.

        Raises BudgetExhausted if a rule refuses it, PriceUnknown.
        """
        asked = self._context.pricer.quote(model, self._now)
        for rule in self._context.policy.rules:
            level = self._levels.get(rule.when.level)
            if level is None or not _holds(rule, level):
                continue
            decision = self._consequence(rule, level, asked)
            if decision is not None:
                self._alert(rule, level)
                return decision
        return Decision(kind=BudgetDecision.ALLOW, quote=asked)

    def _consequence(self, rule: Rule, level: SubjectUsage, asked: Quote) -> Decision | None:
        limit = rule.then.max_input_token_count
        if limit is not None and self._input_token_count > limit:
            self._alert(rule, level)
            raise _too_long(level, rule, limit, self._now)
        cheaper = self._cheaper(rule.then.model, asked)
        match rule.then.action:
            case PolicyAction.DOWNGRADE:
                if cheaper is None:
                    return None
                kind = BudgetDecision.DOWNGRADE
            case PolicyAction.CACHE_FIRST:
                kind = BudgetDecision.CACHE_FIRST
            case PolicyAction.CACHE_ONLY:
                kind = BudgetDecision.CACHE_ONLY
            case PolicyAction.DENY:
                self._alert(rule, level)
                raise _denied(level, rule, self._now)
        return Decision(
            kind=kind,
            quote=cheaper or asked,
            is_downgraded=cheaper is not None,
            policy_rule=rule.id,
        )

    def _cheaper(self, model: str, asked: Quote) -> Quote | None:
        """Return the price of *model*, or of a part of what is asked for, if it is cheaper."""
        if not model:
            return None
        return self._context.pricer.cheaper(
            asked,
            model,
            self._now,
            input_token_count=self._input_token_count,
            output_token_count=self._output_token_count,
        )

    def _alert(self, rule: Rule, level: SubjectUsage) -> None:
        """Alert, once a day for a subject, that a rule has begun to act."""
        acted = level.counter.day_policy_rules.split()
        if rule.id in acted:
            return
        level.counter.day_policy_rules = " ".join([*acted, rule.id])
        self._transaction.counter_changed(level.counter)
        self._transaction.alert(
            Alert(
                kind=AlertKind.POLICY_ACTION,
                key=level.key,
                message=f"The rule {rule.id} acts on {level.name}: {rule.then.action.value}.",
                used_nano_usd=level.counter.used(rule.when.period),
                limit_nano_usd=rule.when.committed_nano_usd,
                create_time_us=to_us(self._now),
            )
        )


def _holds(rule: Rule, level: SubjectUsage) -> bool:
    return level.counter.committed(rule.when.period) >= rule.when.committed_nano_usd


def _too_long(level: SubjectUsage, rule: Rule, limit: int, now: datetime) -> BudgetExhausted:
    return BudgetExhausted(
        f"The rule {rule.id} lets turns of at most {limit} input tokens through: "
        "shorten the input.",
        metadata=_metadata(level, rule, now),
    )


def _denied(level: SubjectUsage, rule: Rule, now: datetime) -> BudgetExhausted:
    return BudgetExhausted(
        f"The rule {rule.id} lets no turn of {level.name} through.",
        metadata=_metadata(level, rule, now),
    )


def _metadata(level: SubjectUsage, rule: Rule, now: datetime) -> dict[str, str]:
    return {
        "subject": level.name,
        "limit_nano_usd": str(rule.when.committed_nano_usd),
        "used_nano_usd": str(level.counter.used(rule.when.period)),
        "policy_rule": rule.id,
    } | reset_metadata(rule.when.period.reset_time(now))
