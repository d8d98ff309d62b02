"""Rows are written and read by position, so positions are those of the tables."""

from parley_services.accounting.ledger.entry import Account, AttemptKind, Entry
from parley_services.accounting.ledger.turn import Turn, TurnKey, TurnState
from parley_services.accounting.limits.rate_limiter import Passed
from parley_services.accounting.limits.usage_counters import UsageCounter
from parley_services.accounting.sql import rows, schema
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage


def names(table):
    return [column.name for column in table.columns]


def test_a_meter_has_a_column_for_each_figure():
    assert names(schema.usage_counters) == list(UsageCounter.__slots__)
    figures = {name: index for index, name in enumerate(UsageCounter.__slots__)}
    counter = UsageCounter(**figures | {"tokens": Passed(parts=((7, 8), (9, 10)))})
    assert rows.usage_counter_of(rows.usage_counter_values(counter)) == counter


def test_a_turn_comes_back_as_it_was():
    turn = Turn(
        key=TurnKey(tenant_id="acme", request_id="r1"),
        reservation_id="v1",
        state=TurnState.EXPIRED,
        subject=Subject(tenant_id="acme", team_id="core", user_id="ada", key_id="k"),
        create_time_us=1,
        decision=BudgetDecision.DOWNGRADE,
        policy_rule="rule",
        model="m",
        downgrade_model="n",
        input_token_count=2,
        input_send_count=14,
        spent_nano_usd=15,
        max_output_token_count=3,
        covered_output_token_count=4,
        produced_output_token_count=5,
        step=6,
        amount_nano_usd=7,
        charged_token_count=8,
        lease_ns=9,
        deadline_ns=10,
        template="t",
        tags={"a": "b"},
        booked_attempts=(1, 2),
        cost_nano_usd=11,
        expiry_cost_nano_usd=12,
    )
    assert rows.turn_of(rows.turn_values(turn)) == turn
    written = dict(zip(names(schema.turns), rows.turn_values(turn), strict=True))
    assert (written["request_id"], written["step"], written["template"]) == ("r1", 6, "t")
    assert (written["deadline_ns"], written["expiry_cost_nano_usd"]) == (10, 12)


def test_an_entry_is_written_in_the_order_of_the_columns():
    entry = Entry(
        tenant_id="acme",
        sequence=3,
        request_id="r1",
        attempt_number=2,
        account=Account.SHADOW,
        is_correction=True,
        subject=Subject(tenant_id="acme", team_id="core", user_id="ada", key_id="k"),
        provider="p",
        model="m",
        kind=AttemptKind.HEDGE,
        usage=Usage(
            input_token_count=1,
            cached_input_token_count=2,
            cache_write_token_count=3,
            output_token_count=4,
            reasoning_token_count=5,
            estimated=True,
        ),
        cost_nano_usd=6,
        saved_cost_nano_usd=7,
        price_version="v",
        template="t",
        template_version=8,
        tags={"a": "b"},
        turn_count=1,
        attempt_count=1,
        cache_hit_count=1,
        end_time_us=9,
        create_time_us=10,
        row_hash=b"h",
    )
    written = dict(zip(names(schema.entries), rows.entry_values(entry), strict=True))
    for name in ("sequence", "attempt_number", "provider", "cost_nano_usd", "end_time_us"):
        assert written[name] == getattr(entry, name)
    assert written["counter_account"] == "provider/p"
    assert (written["reasoning_token_count"], written["is_estimated"]) == (5, True)
    assert (written["kind"], written["account"], written["row_hash"]) == ("hedge", "shadow", b"h")
