"""Rows of the tables to values of the domain, and back."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy import Row

from parley_services.accounting.ledger.entry import Account, Entry
from parley_services.accounting.ledger.turn import Turn, TurnKey, TurnState
from parley_services.accounting.limits.alerts import Alert, AlertKind
from parley_services.accounting.limits.allowances import Budget, BudgetPeriod, Limits
from parley_services.accounting.limits.rate_limiter import NOTHING, Passed
from parley_services.accounting.limits.usage_counters import UsageCounter
from parley_services.accounting.subjects import SubjectKey, SubjectLevel
from parley_services.kit.chat.attempt import AttemptKind
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage

Values = dict[str, Any]


def usage_counter_of(row: Sequence[Any]) -> UsageCounter:
    """Return the counter in a row of `usage_counters`."""
    *values, tokens = row
    return UsageCounter(
        **dict(zip(UsageCounter.__slots__[:-1], values, strict=True)),
        tokens=Passed.of(tokens) if tokens else NOTHING,
    )


_FIGURES = attrgetter(*UsageCounter.__slots__[:-1])


def usage_counter_values(counter: UsageCounter) -> tuple[Any, ...]:
    """Return the row of *counter*. The columns are the attributes, in their order."""
    values: tuple[Any, ...] = _FIGURES(counter)
    return (*values, counter.tokens.text)


def turn_of(row: Sequence[Any]) -> Turn:
    """Return the turn in a row of `turns`."""
    (
        _turn_key, tenant_id, request_id, reservation_id, state, team_id, user_id, key_id,
        create_time_us, decision, policy_rule, model, downgrade_model, input_token_count,
        max_output_token_count, covered_output_token_count, produced_output_token_count, step,
        amount_nano_usd, charged_token_count, lease_ns, deadline_ns, template, tags_json,
        booked_attempts_json, cost_nano_usd, expiry_cost_nano_usd, input_send_count,
        spent_nano_usd,
    ) = row  # fmt: skip
    return Turn(
        key=TurnKey(tenant_id=tenant_id, request_id=request_id),
        reservation_id=reservation_id,
        state=TurnState(state),
        subject=Subject(tenant_id=tenant_id, team_id=team_id, user_id=user_id, key_id=key_id),
        create_time_us=create_time_us,
        decision=BudgetDecision.from_key(decision),
        policy_rule=policy_rule,
        model=model,
        downgrade_model=downgrade_model,
        input_token_count=input_token_count,
        max_output_token_count=max_output_token_count,
        covered_output_token_count=covered_output_token_count,
        produced_output_token_count=produced_output_token_count,
        step=step,
        amount_nano_usd=amount_nano_usd,
        charged_token_count=charged_token_count,
        lease_ns=lease_ns,
        deadline_ns=deadline_ns,
        template=template,
        tags=tags_of(tags_json),
        booked_attempts=tuple(orjson.loads(booked_attempts_json)),
        cost_nano_usd=cost_nano_usd,
        expiry_cost_nano_usd=expiry_cost_nano_usd,
        input_send_count=input_send_count,
        spent_nano_usd=spent_nano_usd,
    )


def turn_values(turn: Turn) -> tuple[Any, ...]:
    """Return the row of *turn*, its columns in their order."""
    subject = turn.subject
    return (
        turn.key.text,
        turn.key.tenant_id,
        turn.key.request_id,
        turn.reservation_id,
        turn.state.value,
        subject.team_id,
        subject.user_id,
        subject.key_id,
        turn.create_time_us,
        turn.decision.key,
        turn.policy_rule,
        turn.model,
        turn.downgrade_model,
        turn.input_token_count,
        turn.max_output_token_count,
        turn.covered_output_token_count,
        turn.produced_output_token_count,
        turn.step,
        turn.amount_nano_usd,
        turn.charged_token_count,
        turn.lease_ns,
        turn.deadline_ns,
        turn.template,
        _tags_json(turn.tags),
        orjson.dumps(turn.booked_attempts).decode(),
        turn.cost_nano_usd,
        turn.expiry_cost_nano_usd,
        turn.input_send_count,
        turn.spent_nano_usd,
    )


def entry_of(row: Any) -> Entry:
    """Return the entry in a row of `entries`, or in what has its columns as attributes."""
    return Entry(
        tenant_id=row.tenant_id,
        sequence=row.sequence,
        request_id=row.request_id,
        attempt_number=row.attempt_number,
        account=Account.from_key(row.account),
        is_correction=row.is_correction,
        subject=_subject_of(row),
        provider=row.provider,
        model=row.model,
        kind=AttemptKind.from_key(row.kind),
        usage=Usage(
            input_token_count=row.input_token_count,
            cached_input_token_count=row.cached_input_token_count,
            cache_write_token_count=row.cache_write_token_count,
            output_token_count=row.output_token_count,
            reasoning_token_count=row.reasoning_token_count,
            estimated=row.is_estimated,
        ),
        cost_nano_usd=row.cost_nano_usd,
        saved_cost_nano_usd=row.saved_cost_nano_usd,
        price_version=row.price_version,
        template=row.template,
        template_version=row.template_version,
        tags=tags_of(row.tags_json),
        turn_count=row.turn_count,
        attempt_count=row.attempt_count,
        cache_hit_count=row.cache_hit_count,
        end_time_us=row.end_time_us,
        create_time_us=row.create_time_us,
        row_hash=row.row_hash,
    )


def entry_values(entry: Entry) -> tuple[Any, ...]:
    """Return the row of *entry*, its columns in their order."""
    subject, usage = entry.subject, entry.usage
    return (
        entry.tenant_id,
        entry.sequence,
        entry.request_id,
        entry.attempt_number,
        entry.account.key,
        entry.counter_account,
        entry.is_correction,
        subject.team_id,
        subject.user_id,
        subject.key_id,
        entry.provider,
        entry.model,
        entry.kind.key,
        usage.input_token_count,
        usage.cached_input_token_count,
        usage.cache_write_token_count,
        usage.output_token_count,
        usage.reasoning_token_count,
        usage.estimated,
        entry.cost_nano_usd,
        entry.saved_cost_nano_usd,
        entry.price_version,
        entry.template,
        entry.template_version,
        _tags_json(entry.tags),
        entry.turn_count,
        entry.attempt_count,
        entry.cache_hit_count,
        entry.end_time_us,
        entry.create_time_us,
        entry.row_hash,
    )


def alert_of(row: Row[Any]) -> Alert:
    """Return the alert in a row of `alerts`."""
    return Alert(
        alert_number=row.alert_number,
        kind=AlertKind.from_key(row.kind),
        key=key_of(row),
        message=row.message,
        used_nano_usd=row.used_nano_usd,
        limit_nano_usd=row.limit_nano_usd,
        create_time_us=row.create_time_us,
    )


def alert_values(alert: Alert) -> Values:
    """Return the row of *alert*."""
    return {
        "alert_number": alert.alert_number,
        "kind": alert.kind.key,
        "level": alert.key.level.key,
        "tenant_id": alert.key.tenant_id,
        "subject_id": alert.key.subject_id,
        "message": alert.message,
        "used_nano_usd": alert.used_nano_usd,
        "limit_nano_usd": alert.limit_nano_usd,
        "create_time_us": alert.create_time_us,
    }


def key_of(row: Row[Any]) -> SubjectKey:
    """Return the subject in the columns `level`, `tenant_id` and `subject_id`."""
    return SubjectKey(
        level=SubjectLevel.from_key(row.level), tenant_id=row.tenant_id, subject_id=row.subject_id
    )


def limits_json(limits: Limits) -> str:
    """Return *limits* as they are stored."""
    return orjson.dumps(
        {
            "budgets": [
                [each.period.key, each.limit_nano_usd, each.is_hard] for each in limits.budgets
            ],
            "requests_per_minute": limits.requests_per_minute,
            "tokens_per_minute": limits.tokens_per_minute,
            "max_concurrent_turns": limits.max_concurrent_turns,
        }
    ).decode()


@lru_cache(maxsize=4096)
def limits_of(text: str) -> Limits:
    """Return the limits that `limits_json` stored."""
    stored = orjson.loads(text)
    return Limits(
        budgets=tuple(
            Budget(period=BudgetPeriod.from_key(period), limit_nano_usd=limit, is_hard=is_hard)
            for period, limit, is_hard in stored["budgets"]
        ),
        requests_per_minute=stored["requests_per_minute"],
        tokens_per_minute=stored["tokens_per_minute"],
        max_concurrent_turns=stored["max_concurrent_turns"],
    )


def _subject_of(row: Row[Any]) -> Subject:
    return Subject(
        tenant_id=row.tenant_id, team_id=row.team_id, user_id=row.user_id, key_id=row.key_id
    )


def _tags_json(tags: Mapping[str, str]) -> str:
    return orjson.dumps(dict(tags), option=orjson.OPT_SORT_KEYS).decode() if tags else "{}"


def tags_of(text: str) -> dict[str, str]:
    """Return the tags in a column `tags_json`."""
    if text == "{}":
        return {}
    tags: dict[str, str] = orjson.loads(text)
    return tags
