"""Reads the domain's values out of the messages of `parley.accounting.v1`."""

from datetime import timedelta
from typing import TypeVar

from google.protobuf.message import Message as ProtoMessage
from parley.accounting.v1 import accounting_service_pb2 as pb

from parley_services.accounting.keys.keys import KeyScope, NewKey
from parley_services.accounting.ledger.extend import ExtendRequest
from parley_services.accounting.ledger.reserve import ReserveRequest
from parley_services.accounting.ledger.settle import SettleRequest
from parley_services.accounting.limits.allowances import Allowance, Budget, BudgetPeriod, Limits
from parley_services.accounting.reports.costs import CostGrouping
from parley_services.accounting.reports.projection import DAYS, Workload
from parley_services.accounting.subjects import EVERYONE, SubjectKey, SubjectLevel
from parley_services.kit.chat import from_proto
from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.kit.errors import InvalidArgument

E = TypeVar("E", bound=WireEnum)

_DEFAULT_TURN_SECONDS = 30.0


def turn_timeout_seconds(message: pb.AdmitTurnRequest | pb.ReserveRequest) -> float:
    """Return how long a turn may take, 30 s if the caller does not say."""
    seconds = from_proto.optional_seconds(message, "turn_timeout")
    return _DEFAULT_TURN_SECONDS if seconds is None else seconds


def reserve(message: pb.ReserveRequest) -> ReserveRequest:
    """Return what a turn may need."""
    return ReserveRequest(
        request_id=message.request_id,
        subject=from_proto.subject(message.subject),
        model=message.model,
        input_token_count=message.input_token_count,
        input_send_count=message.input_send_count or 1,
        max_output_token_count=message.max_output_token_count,
        template=message.template,
        tags=dict(message.tags),
        turn_timeout_seconds=turn_timeout_seconds(message),
        reservation_id=message.reservation_id,
        is_admitted=message.admitted,
    )


def extend(message: pb.ExtendRequest) -> ExtendRequest:
    """Return how far a turn is."""
    return ExtendRequest(
        request_id=message.request_id,
        reservation_id=message.reservation_id,
        step=message.step,
        output_token_count=message.output_token_count,
        model=message.model,
        spent_nano_usd=message.spent_nano_usd,
        input_token_count=message.input_token_count,
        input_send_count=message.input_send_count,
    )


def settle(message: pb.SettleRequest) -> SettleRequest:
    """Return what a turn used."""
    return SettleRequest(
        request_id=message.request_id,
        subject=from_proto.subject(message.subject),
        attempts=tuple(from_proto.attempt(each) for each in message.attempts),
        source=AnswerSource(message.source),
        saved_cost_nano_usd=message.saved_cost_nano_usd,
        template=message.template,
        template_version=message.template_version,
        tags=dict(message.tags),
        end_time=from_proto.optional_time(message, "end_time"),
        model=message.model,
        reservation_id=message.reservation_id,
    )


def reported_attempt(message: pb.TurnAttempt) -> SettleRequest:
    """Return one attempt of a turn, as its router reports it."""
    return SettleRequest(
        request_id=message.request_id,
        subject=from_proto.subject(message.subject),
        attempts=(from_proto.attempt(message.attempt),),
        end_time=from_proto.optional_time(message, "end_time"),
    )


def new_key(message: pb.CreateKeyRequest) -> NewKey:
    """Return what a key shall be. Raises InvalidArgument for an unknown scope."""
    return NewKey(
        subject=from_proto.subject(message.subject),
        scopes=frozenset(_known(KeyScope, each, "scopes") for each in message.scopes),
        may_act_for_users=message.impersonation_allowed,
        display_name=message.display_name,
        ttl=optional_span(message, "ttl"),
    )


def subject_key(
    message: pb.Allowance | pb.DeleteAllowanceRequest,
) -> SubjectKey:
    """Return whose allowance is meant. Raises InvalidArgument for an unknown level."""
    level, tenant_id = _known(SubjectLevel, message.level, "level"), message.tenant_id
    if level is SubjectLevel.TENANT and message.subject_id != EVERYONE:
        tenant_id = tenant_id or message.subject_id
    return SubjectKey(level=level, tenant_id=tenant_id, subject_id=message.subject_id)


def allowance(message: pb.Allowance) -> Allowance:
    """Return an allowance. Raises InvalidArgument for an unknown level or period."""
    return Allowance(
        key=subject_key(message),
        limits=Limits(
            budgets=tuple(_budget(each) for each in message.budgets),
            requests_per_minute=message.requests_per_minute,
            tokens_per_minute=message.tokens_per_minute,
            max_concurrent_turns=message.max_concurrent_turns,
        ),
    )


def _budget(message: pb.Budget) -> Budget:
    return Budget(
        period=_known(BudgetPeriod, message.period, "allowance.budgets.period"),
        limit_nano_usd=message.limit_nano_usd,
        is_hard=message.hard,
    )


def grouping(number: int) -> CostGrouping:
    """Return how to group. Raises InvalidArgument for an unknown way."""
    found = CostGrouping(number)
    if number and not found:
        raise InvalidArgument.field("grouping", _UNKNOWN)
    return found


def workload(message: pb.ProjectCostRequest) -> Workload:
    """Return how a service is used."""
    return Workload(
        user_count=message.user_count,
        questions_per_user=message.questions_per_user,
        input_token_count=message.input_token_count,
        output_token_count=message.output_token_count,
        cache_hit_rate=message.cache_hit_rate,
        model=message.model,
        day_count=message.day_count or DAYS,
    )


def optional_span(message: ProtoMessage, field: str) -> timedelta | None:
    """
    Return the Duration *field* of *message*, None if it is unset.

    Raises InvalidArgument that names *field* if it is too long for a calendar.
    """
    if not message.HasField(field):
        return None
    try:
        span: timedelta = getattr(message, field).ToTimedelta()
    except (OverflowError, ValueError):
        raise InvalidArgument.field(field, "must be a span of less than 10,000 years") from None
    return span


_UNKNOWN = "must be one of the values of its type"


def _known(kind: type[E], number: int, field: str) -> E:
    """Return the member of *number*. Raises InvalidArgument that names *field* for an unknown."""
    found = kind(number)
    if not found:
        raise InvalidArgument.field(field, _UNKNOWN)
    return found
