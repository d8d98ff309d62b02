"""Turns the domain's values into messages of `parley.accounting.v1`."""

from datetime import datetime

from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.chat.v1 import attempt_pb2, budget_pb2

from parley_services.accounting.clock_reader import from_us
from parley_services.accounting.keys.keys import Key
from parley_services.accounting.ledger.entry import Entry, Fault
from parley_services.accounting.ledger.turn import Turn
from parley_services.accounting.limits.alerts import Alert
from parley_services.accounting.limits.usage_counters import UsageCounter
from parley_services.accounting.limits.used_allowance import UsedAllowance
from parley_services.accounting.reports.costs import CostGroup
from parley_services.accounting.reports.projection import Projection
from parley_services.kit.chat import to_proto


def reservation(turn: Turn, lease_end: datetime) -> pb.ReserveResponse:
    """Return what was set aside for a turn."""
    return pb.ReserveResponse(
        reservation_id=turn.reservation_id,
        decision=budget_pb2.BudgetDecision.ValueType(turn.decision),
        downgrade_model=turn.downgrade_model,
        policy_rule=turn.policy_rule,
        amount_nano_usd=turn.amount_nano_usd,
        expire_time=to_proto.timestamp(lease_end),
        covered_output_token_count=turn.covered_output_token_count,
        covered_input_send_count=turn.input_send_count,
    )


def extension(turn: Turn, lease_end: datetime) -> pb.ExtendResponse:
    """Return what is set aside for a turn that runs."""
    return pb.ExtendResponse(
        amount_nano_usd=turn.amount_nano_usd,
        covered_output_token_count=turn.covered_output_token_count,
        expire_time=to_proto.timestamp(lease_end),
        covered_input_send_count=turn.input_send_count,
    )


def entry(value: Entry) -> pb.LedgerEntry:
    """Return an entry of the ledger."""
    return pb.LedgerEntry(
        sequence=value.sequence,
        tenant_id=value.tenant_id,
        request_id=value.request_id,
        attempt_number=value.attempt_number,
        subject=to_proto.subject(value.subject),
        provider=value.provider,
        model=value.model,
        kind=attempt_pb2.AttemptKind.ValueType(value.kind),
        usage=to_proto.usage(value.usage),
        cost_nano_usd=value.cost_nano_usd,
        saved_cost_nano_usd=value.saved_cost_nano_usd,
        price_version=value.price_version,
        template=value.template,
        template_version=value.template_version,
        tags=value.tags,
        create_time=to_proto.timestamp(from_us(value.create_time_us)),
        row_hash=value.row_hash,
        account=pb.LedgerAccount.ValueType(value.account),
        correction=value.is_correction,
    )


def fault(value: Fault) -> pb.VerifyLedgerResponse.LedgerFault:
    """Return a row or a sum that does not fit."""
    return pb.VerifyLedgerResponse.LedgerFault(
        tenant_id=value.tenant_id,
        sequence=value.sequence,
        kind=pb.LedgerFaultKind.ValueType(value.kind),
        subject=value.subject,
        expected_nano_usd=value.expected_nano_usd,
        found_nano_usd=value.found_nano_usd,
    )


def key(value: Key) -> pb.Key:
    """Return a key without its secret."""
    return pb.Key(
        key_id=value.key_id,
        prefix=value.prefix,
        subject=to_proto.subject(value.subject),
        scopes=[pb.KeyScope.ValueType(each) for each in sorted(value.scopes)],
        impersonation_allowed=value.may_act_for_users,
        display_name=value.display_name,
        create_time=to_proto.timestamp(value.create_time),
        expire_time=to_proto.optional_timestamp(value.expire_time),
        revoke_time=to_proto.optional_timestamp(value.revoke_time),
    )


def allowance(used: UsedAllowance, now: datetime) -> pb.Allowance:
    """Return an allowance with what is used of it."""
    subject, limits = used.allowance.key, used.allowance.limits
    counter = used.counter or UsageCounter(key_text=subject.text)
    counter.roll(now)
    return pb.Allowance(
        level=pb.SubjectLevel.ValueType(subject.level),
        subject_id=subject.subject_id,
        tenant_id=subject.tenant_id,
        budgets=[
            pb.Budget(
                period=pb.BudgetPeriod.ValueType(each.period),
                limit_nano_usd=each.limit_nano_usd,
                hard=each.is_hard,
                used_nano_usd=counter.used(each.period),
                reserved_nano_usd=counter.reserved_nano_usd,
                reset_time=to_proto.optional_timestamp(each.period.reset_time(now)),
            )
            for each in limits.budgets
        ],
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        max_concurrent_turns=limits.max_concurrent_turns,
    )


def alert(value: Alert) -> pb.Alert:
    """Return an alert."""
    return pb.Alert(
        alert_number=value.alert_number,
        kind=pb.AlertKind.ValueType(value.kind),
        tenant_id=value.key.tenant_id,
        level=pb.SubjectLevel.ValueType(value.key.level),
        subject_id=value.key.subject_id,
        message=value.message,
        used_nano_usd=value.used_nano_usd,
        limit_nano_usd=value.limit_nano_usd,
        create_time=to_proto.timestamp(from_us(value.create_time_us)),
    )


def group(value: CostGroup) -> pb.CostGroup:
    """Return the spending of a group."""
    return pb.CostGroup(
        name=value.name,
        request_count=value.request_count,
        attempt_count=value.attempt_count,
        cache_hit_count=value.cache_hit_count,
        usage=to_proto.usage(value.usage),
        cost_nano_usd=value.cost_nano_usd,
        saved_cost_nano_usd=value.saved_cost_nano_usd,
    )


def projection(value: Projection) -> pb.ProjectCostResponse:
    """Return what a month costs."""
    return pb.ProjectCostResponse(
        cost_nano_usd=value.cost_nano_usd,
        uncached_cost_nano_usd=value.uncached_cost_nano_usd,
        question_count=value.question_count,
    )
