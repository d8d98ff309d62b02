import hashlib

import pytest
from google.protobuf.duration_pb2 import Duration
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.chat.v1 import answer_pb2, budget_pb2, subject_pb2
from parley_services.kit.errors import (
    BudgetExhausted,
    ConcurrencyLimited,
    InvalidArgument,
    KeyInvalid,
    NotFound,
    PriceUnknown,
    RateLimited,
    StateForbids,
)

from tests.service.accounting.calls import ADA, USD, refused, reserve, set_budget, settle
from tests.service.accounting.conftest import SECRET_DIGEST


def admit(request_id):
    return pb.AdmitTurnRequest(
        request_id=request_id, subject=ADA, reservation_id=f"run-{request_id}"
    )


async def limit_turns(stub, count):
    await stub.SetAllowance(
        pb.SetAllowanceRequest(
            allowance=pb.Allowance(
                level=pb.SUBJECT_LEVEL_TENANT, subject_id="acme", max_concurrent_turns=count
            )
        )
    )


class TestTurns:
    async def test_a_turn_is_reserved_settled_and_read(self, stub):
        reserved = await stub.Reserve(reserve())
        assert reserved.decision == budget_pb2.BUDGET_DECISION_ALLOW
        assert reserved.amount_nano_usd == 3_500_000
        assert reserved.covered_output_token_count == 100
        settled = await stub.Settle(settle(tags={"app": "help"}, template="faq"))
        assert (settled.cost_nano_usd, settled.already_settled) == (5_000_000, False)
        turn = await stub.GetTurnCost(pb.GetTurnCostRequest(tenant_id="acme", request_id="r1"))
        assert turn.cost_nano_usd == 5_000_000
        (entry,) = turn.entries
        assert (entry.sequence, entry.account, entry.subject.user_id) == (
            1,
            pb.LEDGER_ACCOUNT_USAGE,
            "ada",
        )
        assert (dict(entry.tags), entry.template) == ({"app": "help"}, "faq")

    async def test_a_turn_is_admitted_then_held_then_settled(self, stub):
        await limit_turns(stub, 1)
        await stub.AdmitTurn(admit("r1"))
        await stub.AdmitTurn(admit("r1"))
        await refused(stub.AdmitTurn(admit("r2")), ConcurrencyLimited)
        reserved = await stub.Reserve(reserve("r1", reservation_id="run-r1", admitted=True))
        assert reserved.reservation_id == "run-r1"
        await stub.Settle(settle("r1", reservation_id="run-r1"))
        await stub.AdmitTurn(admit("r2"))

    async def test_a_cached_answer_needs_no_hold(self, stub):
        await limit_turns(stub, 1)
        for number in range(3):
            await stub.AdmitTurn(admit(f"r{number}"))
            await stub.Settle(
                pb.SettleRequest(
                    request_id=f"r{number}",
                    reservation_id=f"run-r{number}",
                    subject=ADA,
                    source=answer_pb2.ANSWER_SOURCE_CACHE_EXACT,
                    saved_cost_nano_usd=7,
                )
            )
        summary = await stub.GetCostSummary(pb.GetCostSummaryRequest(tenant_id="acme"))
        assert (summary.total.cache_hit_count, summary.total.saved_cost_nano_usd) == (3, 21)

    async def test_a_release_ends_an_admission_without_a_hold(self, stub):
        await limit_turns(stub, 1)
        await stub.AdmitTurn(admit("r1"))
        release = pb.ReleaseRequest(request_id="r1", reservation_id="run-r1", subject=ADA)
        await stub.Release(release)
        await stub.AdmitTurn(admit("r2"))

    async def test_a_refused_reservation_leaves_the_admission_to_its_caller(self, stub):
        await limit_turns(stub, 1)
        await stub.AdmitTurn(admit("r1"))
        await refused(
            stub.Reserve(reserve("r1", model="nobody-knows", admitted=True)), PriceUnknown
        )
        await refused(stub.AdmitTurn(admit("r2")), ConcurrencyLimited)
        await stub.Release(pb.ReleaseRequest(request_id="r1", subject=ADA))
        # One that admits by itself ends what it began.
        await set_budget(stub, 1)
        await refused(stub.Reserve(reserve("r2")), BudgetExhausted)
        await stub.AdmitTurn(admit("r3"))

    async def test_a_settlement_with_another_runs_reservation_is_refused(self, stub):
        await stub.Reserve(reserve("r1", reservation_id="one"))
        await refused(stub.Settle(settle("r1", reservation_id="two")), StateForbids)
        await stub.Release(pb.ReleaseRequest(request_id="r1", reservation_id="two", subject=ADA))
        assert (await stub.Settle(settle("r1", reservation_id="one"))).already_settled is False

    async def test_an_input_that_may_be_sent_again_is_held_as_often_as_fits(self, stub):
        # 1,000 tokens at 2.50 and 100 at 10 dollars a million: 2,500,000 and 1,000,000.
        await set_budget(stub, 9_000_000)
        reserved = await stub.Reserve(reserve("r1", input_send_count=3))
        assert (reserved.amount_nano_usd, reserved.covered_input_send_count) == (8_500_000, 3)
        await stub.Release(pb.ReleaseRequest(request_id="r1", subject=ADA))
        reserved = await stub.Reserve(reserve("r2", input_send_count=9))
        assert (reserved.amount_nano_usd, reserved.covered_input_send_count) == (8_500_000, 3)
        extended = await stub.Extend(
            pb.ExtendRequest(
                request_id="r2",
                reservation_id=reserved.reservation_id,
                step=1,
                spent_nano_usd=2_600_000,
                model="gpt-4o-mini",
                input_send_count=1,
            )
        )
        # What the first attempt cost, and 1,000 tokens at 0.15 and 100 at 0.60.
        assert extended.amount_nano_usd == 2_600_000 + 150_000 + 60_000

    async def test_a_repeated_reserve_gets_the_same_answer(self, stub):
        assert await stub.Reserve(reserve()) == await stub.Reserve(reserve())

    async def test_a_repeated_settle_books_once(self, stub):
        await stub.Reserve(reserve())
        await stub.Settle(settle())
        again = await stub.Settle(settle())
        assert (again.cost_nano_usd, again.already_settled) == (5_000_000, True)
        more = await stub.Settle(settle(number=2, cost=1))
        assert (more.cost_nano_usd, more.already_settled) == (5_000_001, False)

    async def test_a_turn_without_a_reservation_is_booked(self, stub):
        settled = await stub.Settle(settle())
        assert (settled.cost_nano_usd, settled.already_settled) == (5_000_000, False)

    async def test_an_attempt_that_a_router_tells_of_is_booked_once(self, stub):
        await stub.Reserve(reserve())
        reported = pb.TurnAttempt(
            request_id="r1", subject=ADA, attempt=settle(number=1, cost=7).attempts[0]
        )
        request = pb.ReportAttemptsRequest(attempts=[reported])
        assert (await stub.ReportAttempts(request)).booked_count == 1
        assert (await stub.ReportAttempts(request)).booked_count == 0
        turn = await stub.GetTurnCost(pb.GetTurnCostRequest(tenant_id="acme", request_id="r1"))
        assert turn.cost_nano_usd == 7

    async def test_attempts_of_nobody_are_refused(self, stub):
        await refused(stub.ReportAttempts(pb.ReportAttemptsRequest()), InvalidArgument)
        nobodys = pb.TurnAttempt(request_id="r1", attempt=settle().attempts[0])
        request = pb.ReportAttemptsRequest(attempts=[nobodys])
        await refused(stub.ReportAttempts(request), InvalidArgument)

    async def test_a_released_turn_gives_all_back(self, stub):
        await set_budget(stub, 4_000_000)
        await stub.Reserve(reserve())
        await refused(stub.Reserve(reserve("r2")), BudgetExhausted)
        for _ in range(2):
            await stub.Release(pb.ReleaseRequest(request_id="r1", subject=ADA))
        await stub.Reserve(reserve("r2"))
        await refused(stub.Reserve(reserve("r1")), StateForbids)

    async def test_a_hard_budget_refuses_and_says_until_when(self, stub):
        await set_budget(stub, 3_000_000)
        error = await refused(stub.Reserve(reserve()), BudgetExhausted)
        assert error.metadata["subject"] == "user/ada"
        assert error.metadata["reset_time"] == "2026-01-02T00:00:00Z"

    async def test_an_unknown_user_has_thirty_requests_a_minute(self, stub, clock):
        for number in range(30):
            await stub.Reserve(reserve(f"r{number}"))
        error = await refused(stub.Reserve(reserve("r30")), RateLimited)
        assert error.retry_after_seconds == pytest.approx(61.0)
        clock.advance(61.0)
        await stub.Reserve(reserve("r30"))

    async def test_a_model_without_a_price_is_refused(self, stub):
        error = await refused(stub.Reserve(reserve(model="nobody-knows")), PriceUnknown)
        assert error.metadata["model"] == "nobody-knows"

    async def test_a_cap_prices_unknown_models(self, serve):
        stub = await serve(unknown_price_usd_per_million=10)
        reserved = await stub.Reserve(reserve(model="nobody-knows"))
        assert reserved.amount_nano_usd == 11_000_000

    async def test_the_default_group_has_a_price(self, stub):
        for number, model in enumerate(("", "default", "auto")):
            reserved = await stub.Reserve(reserve(f"r{number}", model=model))
            assert reserved.amount_nano_usd > 0

    async def test_an_extension_covers_more(self, stub):
        reserved = await stub.Reserve(reserve(max_output_token_count=0))
        extend = pb.ExtendRequest(
            request_id="r1",
            reservation_id=reserved.reservation_id,
            step=1,
            output_token_count=512,
            model="gpt-4o",
        )
        extended = await stub.Extend(extend)
        assert extended.covered_output_token_count == 1024
        assert extended == await stub.Extend(extend)
        extend.reservation_id = "none"
        await refused(stub.Extend(extend), NotFound)

    async def test_what_is_wrong_is_named(self, stub):
        error = await refused(stub.Reserve(pb.ReserveRequest()), InvalidArgument)
        assert [each.field for each in error.violations] == ["request_id", "subject"]

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (reserve(tags={"app": "a\0"}), 'tags["app"]'),
            (reserve(tags={str(number): "" for number in range(33)}), "tags"),
            (reserve(template="t" * 513), "template"),
            (reserve(input_token_count=-1), "input_token_count"),
            (reserve("r\n1"), "request_id"),
            (reserve(input_send_count=101), "input_send_count"),
            (settle(cost=-1), "attempts[0].cost_nano_usd"),
            (settle(cost=10**18), "attempts[0].cost_nano_usd"),
            (settle(number=0), "attempts[0].number"),
            (settle(saved_cost_nano_usd=-1), "saved_cost_nano_usd"),
        ],
    )
    async def test_what_the_books_could_not_hold_is_refused(self, serve, request_, field):
        stub = await serve()
        method = stub.Reserve if isinstance(request_, pb.ReserveRequest) else stub.Settle
        error = await refused(method(request_), InvalidArgument)
        assert [each.field for each in error.violations] == [field]


class TestKeys:
    async def test_the_first_key_may_do_everything(self, stub):
        answer = await stub.AuthenticateKey(pb.AuthenticateKeyRequest(secret_sha256=SECRET_DIGEST))
        key = answer.key
        assert (key.subject.tenant_id, key.impersonation_allowed, len(key.scopes)) == (
            "default",
            True,
            3,
        )
        assert answer.max_age.ToTimedelta().total_seconds() == 2
        assert not answer.hard_budget_applies

    async def test_without_a_setting_the_first_key_is_written_to_a_file(self, serve, tmp_path):
        stub = await serve(bootstrap_key="")
        path = tmp_path / "bootstrap.key"
        assert path.stat().st_mode & 0o777 == 0o600
        digest = hashlib.sha256(path.read_text().strip().encode()).digest()
        await stub.AuthenticateKey(pb.AuthenticateKeyRequest(secret_sha256=digest))

    async def test_a_key_lives_rotates_and_ends(self, stub, clock):
        made = await stub.CreateKey(
            pb.CreateKeyRequest(subject=ADA, scopes=[pb.KEY_SCOPE_CHAT], display_name="ci")
        )
        assert made.secret.startswith(made.key.prefix)
        await authenticate(stub, made.secret)
        rotated = await stub.RotateKey(
            pb.RotateKeyRequest(key_id=made.key.key_id, grace=Duration(seconds=60))
        )
        await authenticate(stub, made.secret)
        await authenticate(stub, rotated.secret)
        clock.advance(60)
        await refused(authenticate(stub, made.secret), KeyInvalid)
        for _ in range(2):
            revoked = await stub.RevokeKey(pb.RevokeKeyRequest(key_id=made.key.key_id))
            assert revoked.key.HasField("revoke_time")
        await refused(authenticate(stub, rotated.secret), KeyInvalid)
        await refused(stub.RotateKey(pb.RotateKeyRequest(key_id="none")), NotFound)

    async def test_keys_are_listed_in_pages_newest_first(self, stub, clock):
        for name in ("a", "b", "c"):
            clock.advance(1)
            await stub.CreateKey(
                pb.CreateKeyRequest(subject=ADA, scopes=[pb.KEY_SCOPE_CHAT], display_name=name)
            )
        names, token = [], ""
        while True:
            page = await stub.ListKeys(
                pb.ListKeysRequest(tenant_id="acme", page_size=2, page_token=token)
            )
            names += [key.display_name for key in page.keys]
            token = page.next_page_token
            if not token:
                break
        assert names == ["c", "b", "a"]

    async def test_wrong_keys_cost_a_rate_limit_and_good_ones_go_on(self, serve):
        stub = await serve(wrong_keys_per_second=0.1)
        await refused(authenticate(stub, "wrong"), KeyInvalid)
        error = await refused(authenticate(stub, "wrong"), RateLimited)
        assert error.retry_after_seconds == pytest.approx(10)
        await stub.AuthenticateKey(pb.AuthenticateKeyRequest(secret_sha256=SECRET_DIGEST))

    async def test_a_hard_budget_is_told_with_the_key(self, stub):
        made = await stub.CreateKey(pb.CreateKeyRequest(subject=ADA, scopes=[pb.KEY_SCOPE_CHAT]))
        await set_budget(stub, USD)
        assert (await authenticate(stub, made.secret)).hard_budget_applies

    async def test_a_watcher_hears_of_a_revoked_key_also_from_another_replica(self, serve):
        here, there = await serve(), await serve()
        made = await here.CreateKey(pb.CreateKeyRequest(subject=ADA, scopes=[pb.KEY_SCOPE_CHAT]))
        calls = [stub.WatchKeys(pb.WatchKeysRequest(), timeout=20) for stub in (here, there)]
        for call in calls:
            assert (await call.read()).key_id == ""
        await here.RevokeKey(pb.RevokeKeyRequest(key_id=made.key.key_id))
        for call in calls:
            assert (await call.read()).key_id == made.key.key_id
            call.cancel()


class TestAllowances:
    async def test_an_allowance_is_set_listed_with_its_use_and_removed(self, stub):
        await set_budget(stub, USD)
        await stub.Reserve(reserve("r1"))
        await stub.Settle(settle("r2", cost=7))
        (found,) = (await stub.ListAllowances(pb.ListAllowancesRequest())).allowances
        (budget,) = found.budgets
        assert (budget.used_nano_usd, budget.reserved_nano_usd) == (7, 3_500_000)
        delete = pb.DeleteAllowanceRequest(
            level=pb.SUBJECT_LEVEL_USER, tenant_id="acme", subject_id="ada"
        )
        await stub.DeleteAllowance(delete)
        await refused(stub.DeleteAllowance(delete), NotFound)

    async def test_a_default_that_was_set_holds_for_all_of_its_level(self, serve):
        stub = await serve()
        await stub.SetAllowance(
            pb.SetAllowanceRequest(
                allowance=pb.Allowance(
                    level=pb.SUBJECT_LEVEL_USER,
                    subject_id="*",
                    tenant_id="acme",
                    requests_per_minute=1,
                )
            )
        )
        for user in ("ada", "bob"):
            subject = subject_pb2.Subject(tenant_id="acme", user_id=user)
            await stub.Reserve(reserve(f"{user}1", subject))
            await refused(stub.Reserve(reserve(f"{user}2", subject)), RateLimited)


class TestAlerts:
    async def test_a_budget_alerts_at_eighty_and_at_a_hundred_percent_once(self, stub):
        await set_budget(stub, 100, hard=False)
        for number, cost in enumerate((79, 1, 19, 1, 50)):
            await stub.Settle(settle(f"r{number}", cost=cost))
        alerts = (await stub.ListAlerts(pb.ListAlertsRequest(tenant_id="acme"))).alerts
        assert [(each.kind, each.used_nano_usd) for each in alerts] == [
            (pb.ALERT_KIND_BUDGET_EXHAUSTED, 100),
            (pb.ALERT_KIND_BUDGET_WARNING, 80),
        ]
        assert alerts[1].message == "The daily budget of user/ada is 80 % used."

    async def test_a_watcher_gets_those_before_and_those_to_come(self, stub):
        await set_budget(stub, 100, hard=False)
        await stub.Settle(settle("r1", cost=80))
        call = stub.WatchAlerts(pb.WatchAlertsRequest(tenant_id="acme"), timeout=20)
        assert (await call.read()).alert.kind == pb.ALERT_KIND_BUDGET_WARNING
        await stub.Settle(settle("r2", cost=20))
        assert (await call.read()).alert.kind == pb.ALERT_KIND_BUDGET_EXHAUSTED
        call.cancel()


async def authenticate(stub, secret):
    digest = hashlib.sha256(secret.encode()).digest()
    return await stub.AuthenticateKey(pb.AuthenticateKeyRequest(secret_sha256=digest))
