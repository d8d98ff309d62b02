"""Turns messages of `parley.accounting.v1` into values of the domain, and back."""

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.chat.v1 import answer_pb2, attempt_pb2, subject_pb2

from parley_services.accounting.clock_reader import from_us
from parley_services.accounting.keys.keys import Key, KeyScope
from parley_services.accounting.ledger.entry import AttemptKind, Entry
from parley_services.accounting.ledger.settle import AnswerSource, Attempt, SettleRequest
from parley_services.accounting.limits.alerts import Alert
from parley_services.accounting.limits.allowances import Allowance, Budget, BudgetPeriod, Limits
from parley_services.accounting.limits.usage_counters import Meter
from parley_services.accounting.limits.used_allowance import UsedAllowance
from parley_services.accounting.reports.costs import CostGroup, CostGrouping
from parley_services.accounting.subjects import EVERYONE, SubjectKey, SubjectLevel
from parley_services.kit.chat import from_proto, to_proto
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import InvalidArgument

E = TypeVar("E", bound=Enum)

_SOURCES = {
    answer_pb2.ANSWER_SOURCE_MODEL: AnswerSource.MODEL,
    answer_pb2.ANSWER_SOURCE_CACHE_EXACT: AnswerSource.CACHE,
    answer_pb2.ANSWER_SOURCE_CACHE_SEMANTIC: AnswerSource.CACHE,
    answer_pb2.ANSWER_SOURCE_CACHE_FALLBACK: AnswerSource.CACHE,
    answer_pb2.ANSWER_SOURCE_COALESCED: AnswerSource.COALESCED,
}


class EnumType(Protocol):
    """The wrapper that protobuf generates for an enum."""

    def Name(self, number: Any) -> str: ...

    def Value(self, name: str) -> Any: ...


def enum_from(kind: type[E], wrapper: EnumType, prefix: str, number: int, field: str) -> E:
    """Return the domain's value for *number*. Raises InvalidArgument that names *field*."""
    try:
        return kind[wrapper.Name(number).removeprefix(f"{prefix}_")]
    except (KeyError, ValueError):
        raise InvalidArgument.field(field, "must be one of the values of its type") from None


def enum_to(wrapper: EnumType, prefix: str, value: Enum) -> Any:
    """Return the number that stands for *value*."""
    return wrapper.Value(f"{prefix}_{value.name}")


def optional_timestamp(at: datetime | None) -> Timestamp | None:
    """Return *at* as a message, None for None."""
    return None if at is None else to_proto.timestamp(at)


def optional_time(message: Any, field: str) -> datetime | None:
    """Return a to_proto.timestamp field of *message*, None if it is unset or malformed."""
    if not message.HasField(field):
        return None
    try:
        at: datetime = getattr(message, field).ToDatetime(UTC)
    except (OverflowError, ValueError):
        raise InvalidArgument.field(field, "must be a time from year 1 to 9999") from None
    return at


def optional_duration(message: Any, field: str) -> timedelta | None:
    """Return a duration field of *message*, None if it is unset."""
    if not message.HasField(field):
        return None
    try:
        span: timedelta = getattr(message, field).ToTimedelta()
    except (OverflowError, ValueError):
        raise InvalidArgument.field(field, "must be a span of less than 10,000 years") from None
    return span


def subject_from(message: subject_pb2.Subject) -> Subject:
    """Return a subject."""
    return Subject(
        tenant_id=message.tenant_id,
        team_id=message.team_id,
        user_id=message.user_id,
        key_id=message.key_id,
    )


def settle_from(message: pb.SettleRequest) -> SettleRequest:
    """Return what a turn used."""
    return SettleRequest(
        request_id=message.request_id,
        subject=subject_from(message.subject),
        attempts=tuple(_attempt_from(each) for each in message.attempts),
        source=_SOURCES.get(message.source, AnswerSource.NONE),
        saved_cost_nano_usd=message.saved_cost_nano_usd,
        template=message.template,
        template_version=message.template_version,
        tags=dict(message.tags),
        end_time=optional_time(message, "end_time"),
        model=message.model,
        reservation_id=message.reservation_id,
    )


def told_from(message: pb.TurnAttempt) -> SettleRequest:
    """Return one attempt of a turn that its router tells of."""
    return SettleRequest(
        request_id=message.request_id,
        subject=subject_from(message.subject),
        attempts=(_attempt_from(message.attempt),),
        end_time=optional_time(message, "end_time"),
    )


def _attempt_from(message: attempt_pb2.Attempt) -> Attempt:
    kind = AttemptKind.PRIMARY
    if message.kind != attempt_pb2.ATTEMPT_KIND_UNSPECIFIED:
        kind = enum_from(
            AttemptKind, attempt_pb2.AttemptKind, "ATTEMPT_KIND", message.kind, "attempts.kind"
        )
    return Attempt(
        number=message.number,
        provider=message.provider,
        model=message.model,
        kind=kind,
        usage=from_proto.usage(message.usage),
        cost_nano_usd=message.cost_nano_usd,
        price_version=message.price_version,
    )


def entry_to(entry: Entry) -> pb.LedgerEntry:
    """Return an entry as a message."""
    return pb.LedgerEntry(
        sequence=entry.sequence,
        tenant_id=entry.tenant_id,
        request_id=entry.request_id,
        attempt_number=entry.attempt_number,
        subject=to_proto.subject(entry.subject),
        provider=entry.provider,
        model=entry.model,
        kind=enum_to(attempt_pb2.AttemptKind, "ATTEMPT_KIND", entry.kind),
        usage=to_proto.usage(entry.usage),
        cost_nano_usd=entry.cost_nano_usd,
        saved_cost_nano_usd=entry.saved_cost_nano_usd,
        price_version=entry.price_version,
        template=entry.template,
        template_version=entry.template_version,
        tags=entry.tags,
        create_time=to_proto.timestamp(from_us(entry.create_time_us)),
        row_hash=entry.row_hash,
        account=entry.account.value,
        correction=entry.is_correction,
    )


def key_to(key: Key) -> pb.Key:
    """Return a key as a message."""
    return pb.Key(
        key_id=key.key_id,
        prefix=key.prefix,
        subject=to_proto.subject(key.subject),
        scopes=[enum_to(pb.KeyScope, "KEY_SCOPE", each) for each in sorted(key.scopes)],
        impersonation_allowed=key.may_act_for_users,
        display_name=key.display_name,
        create_time=to_proto.timestamp(key.create_time),
        expire_time=optional_timestamp(key.expire_time),
        revoke_time=optional_timestamp(key.revoke_time),
    )


def scopes_from(numbers: Any) -> frozenset[KeyScope]:
    """Return scopes. Raises InvalidArgument for an unknown one."""
    return frozenset(
        enum_from(KeyScope, pb.KeyScope, "KEY_SCOPE", each, "scopes") for each in numbers
    )


def level_from(level: int) -> SubjectLevel:
    """Return a level. Raises InvalidArgument for an unknown one."""
    return enum_from(SubjectLevel, pb.SubjectLevel, "SUBJECT_LEVEL", level, "level")


def subject_key_from(level: int, tenant_id: str, subject_id: str) -> SubjectKey:
    """Return whose allowance is meant. Raises InvalidArgument for an unknown level."""
    known = level_from(level)
    if known is SubjectLevel.TENANT and subject_id != EVERYONE:
        tenant_id = tenant_id or subject_id
    return SubjectKey(level=known, tenant_id=tenant_id, subject_id=subject_id)


def allowance_from(message: pb.Allowance) -> Allowance:
    """Return an allowance. Raises InvalidArgument for an unknown level or period."""
    return Allowance(
        key=subject_key_from(message.level, message.tenant_id, message.subject_id),
        limits=Limits(
            budgets=tuple(
                Budget(
                    period=enum_from(
                        BudgetPeriod,
                        pb.BudgetPeriod,
                        "BUDGET_PERIOD",
                        each.period,
                        "allowance.budgets.period",
                    ),
                    limit_nano_usd=each.limit_nano_usd,
                    is_hard=each.hard,
                )
                for each in message.budgets
            ),
            requests_per_minute=message.requests_per_minute,
            tokens_per_minute=message.tokens_per_minute,
            max_concurrent_turns=message.max_concurrent_turns,
        ),
    )


def allowance_to(used: UsedAllowance, now: datetime) -> pb.Allowance:
    """Return an allowance with what is used of it as a message."""
    key, limits = used.allowance.key, used.allowance.limits
    meter = used.meter or Meter(key_text=key.text)
    meter.roll(now)
    return pb.Allowance(
        level=enum_to(pb.SubjectLevel, "SUBJECT_LEVEL", key.level),
        subject_id=key.subject_id,
        tenant_id=key.tenant_id,
        budgets=[
            pb.Budget(
                period=enum_to(pb.BudgetPeriod, "BUDGET_PERIOD", each.period),
                limit_nano_usd=each.limit_nano_usd,
                hard=each.is_hard,
                used_nano_usd=meter.used(each.period),
                reserved_nano_usd=meter.reserved_nano_usd,
                reset_time=optional_timestamp(each.period.reset_time(now)),
            )
            for each in limits.budgets
        ],
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        max_concurrent_turns=limits.max_concurrent_turns,
    )


def alert_to(alert: Alert) -> pb.Alert:
    """Return an alert as a message."""
    return pb.Alert(
        alert_number=alert.alert_number,
        kind=enum_to(pb.AlertKind, "ALERT_KIND", alert.kind),
        tenant_id=alert.key.tenant_id,
        level=enum_to(pb.SubjectLevel, "SUBJECT_LEVEL", alert.key.level),
        subject_id=alert.key.subject_id,
        message=alert.message,
        used_nano_usd=alert.used_nano_usd,
        limit_nano_usd=alert.limit_nano_usd,
        create_time=to_proto.timestamp(from_us(alert.create_time_us)),
    )


def grouping_from(number: int) -> CostGrouping:
    """Return how to group. Raises InvalidArgument for an unknown way."""
    if number == pb.COST_GROUPING_UNSPECIFIED:
        return CostGrouping.NONE
    return enum_from(CostGrouping, pb.CostGrouping, "COST_GROUPING", number, "grouping")


def group_to(group: CostGroup) -> pb.CostGroup:
    """Return spending of a group as a message."""
    return pb.CostGroup(
        name=group.name,
        request_count=group.request_count,
        attempt_count=group.attempt_count,
        cache_hit_count=group.cache_hit_count,
        usage=to_proto.usage(group.usage),
        cost_nano_usd=group.cost_nano_usd,
        saved_cost_nano_usd=group.saved_cost_nano_usd,
    )
