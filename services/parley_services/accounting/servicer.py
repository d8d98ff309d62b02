"""The gRPC face of accounting: converts messages, decides nothing."""

from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import budget_pb2

from parley_services.accounting import messages
from parley_services.accounting.accounting import Accounting
from parley_services.accounting.keys.keys import KeyRing, NewKey
from parley_services.accounting.ledger.extend import ExtendRequest
from parley_services.accounting.ledger.reserve import ReserveRequest
from parley_services.accounting.paging import position_of, token_of
from parley_services.accounting.reports.projection import Workload
from parley_services.accounting.reports.queries import Office
from parley_services.kit.chat import to_proto
from parley_services.kit.clock import Clock

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_DEFAULT_TURN_SECONDS = 30.0


class AccountingServicer(pb_grpc.AccountingServiceServicer):
    """Every method of `AccountingService`."""

    def __init__(
        self,
        *,
        accounting: Accounting,
        keys: KeyRing,
        office: Office,
        clock: Clock,
        key_max_age_seconds: float,
    ) -> None:
        self._accounting = accounting
        self._keys = keys
        self._office = office
        self._clock = clock
        self._key_max_age = to_proto.duration(key_max_age_seconds)

    async def AuthenticateKey(
        self, request: pb.AuthenticateKeyRequest, context: Context
    ) -> pb.AuthenticateKeyResponse:
        key = await self._keys.authenticate(request.secret_sha256)
        return pb.AuthenticateKeyResponse(
            key=messages.key_to(key),
            max_age=self._key_max_age,
            hard_budget_applies=await self._office.allowances.has_hard_budget(key.subject),
        )

    async def AdmitTurn(
        self, request: pb.AdmitTurnRequest, context: Context
    ) -> pb.AdmitTurnResponse:
        expire_time = await self._accounting.admit(
            request.request_id,
            messages.subject_from(request.subject),
            reservation_id=request.reservation_id,
            turn_timeout_seconds=_turn_timeout_seconds(request),
        )
        return pb.AdmitTurnResponse(expire_time=to_proto.timestamp(expire_time))

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.ReserveResponse:
        turn = await self._accounting.reserve(
            ReserveRequest(
                request_id=request.request_id,
                subject=messages.subject_from(request.subject),
                model=request.model,
                input_token_count=request.input_token_count,
                input_send_count=request.input_send_count or 1,
                max_output_token_count=request.max_output_token_count,
                template=request.template,
                tags=dict(request.tags),
                turn_timeout_seconds=_turn_timeout_seconds(request),
                reservation_id=request.reservation_id,
                is_admitted=request.admitted,
            )
        )
        return pb.ReserveResponse(
            reservation_id=turn.reservation_id,
            decision=messages.enum_to(budget_pb2.BudgetDecision, "BUDGET_DECISION", turn.decision),
            downgrade_model=turn.downgrade_model,
            policy_rule=turn.policy_rule,
            amount_nano_usd=turn.amount_nano_usd,
            expire_time=to_proto.timestamp(self._accounting.lease_end(turn)),
            covered_output_token_count=turn.covered_output_token_count,
            covered_input_send_count=turn.input_send_count,
        )

    async def Extend(self, request: pb.ExtendRequest, context: Context) -> pb.ExtendResponse:
        turn = await self._accounting.extend(
            ExtendRequest(
                request_id=request.request_id,
                reservation_id=request.reservation_id,
                step=request.step,
                output_token_count=request.output_token_count,
                model=request.model,
                spent_nano_usd=request.spent_nano_usd,
                input_token_count=request.input_token_count,
                input_send_count=request.input_send_count,
            )
        )
        return pb.ExtendResponse(
            amount_nano_usd=turn.amount_nano_usd,
            covered_output_token_count=turn.covered_output_token_count,
            expire_time=to_proto.timestamp(self._accounting.lease_end(turn)),
            covered_input_send_count=turn.input_send_count,
        )

    async def Settle(self, request: pb.SettleRequest, context: Context) -> pb.SettleResponse:
        settled = await self._accounting.settle(messages.settle_from(request))
        return pb.SettleResponse(
            cost_nano_usd=settled.cost_nano_usd, already_settled=settled.was_settled
        )

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.ReleaseResponse:
        await self._accounting.release(
            request.request_id, messages.subject_from(request.subject), request.reservation_id
        )
        return pb.ReleaseResponse()

    async def ReportAttempts(
        self, request: pb.ReportAttemptsRequest, context: Context
    ) -> pb.ReportAttemptsResponse:
        told = [messages.told_from(each) for each in request.attempts]
        return pb.ReportAttemptsResponse(booked_count=await self._accounting.book(told))

    async def CreateKey(
        self, request: pb.CreateKeyRequest, context: Context
    ) -> pb.CreateKeyResponse:
        key, secret = await self._keys.create(
            NewKey(
                subject=messages.subject_from(request.subject),
                scopes=messages.scopes_from(request.scopes),
                may_act_for_users=request.impersonation_allowed,
                display_name=request.display_name,
                ttl=messages.optional_duration(request, "ttl"),
            )
        )
        return pb.CreateKeyResponse(key=messages.key_to(key), secret=secret)

    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        size, offset = _page(request, default=50)
        found = await self._keys.page(request.tenant_id, offset=offset, limit=size + 1)
        return pb.ListKeysResponse(
            keys=[messages.key_to(key) for key in found[:size]],
            next_page_token=_next(found, size, offset),
        )

    async def RotateKey(
        self, request: pb.RotateKeyRequest, context: Context
    ) -> pb.RotateKeyResponse:
        grace = messages.optional_duration(request, "grace")
        key, secret = await self._keys.rotate(request.key_id, grace)
        self._office.key_bell.ring()
        return pb.RotateKeyResponse(key=messages.key_to(key), secret=secret)

    async def RevokeKey(
        self, request: pb.RevokeKeyRequest, context: Context
    ) -> pb.RevokeKeyResponse:
        key = await self._keys.revoke(request.key_id)
        self._office.key_bell.ring()
        return pb.RevokeKeyResponse(key=messages.key_to(key))

    async def WatchKeys(  # type: ignore[override]
        self, request: pb.WatchKeysRequest, context: Context
    ) -> None:
        async with aclosing(self._office.key_changes()) as changes:
            async for key_id in changes:
                await context.write(pb.WatchKeysResponse(key_id=key_id))

    async def SetAllowance(
        self, request: pb.SetAllowanceRequest, context: Context
    ) -> pb.SetAllowanceResponse:
        used = await self._office.allowances.put(messages.allowance_from(request.allowance))
        return pb.SetAllowanceResponse(allowance=messages.allowance_to(used, self._clock.now()))

    async def ListAllowances(
        self, request: pb.ListAllowancesRequest, context: Context
    ) -> pb.ListAllowancesResponse:
        size, offset = _page(request, default=50)
        found = await self._office.allowances.page(request.tenant_id, offset=offset, limit=size + 1)
        now = self._clock.now()
        return pb.ListAllowancesResponse(
            allowances=[messages.allowance_to(each, now) for each in found[:size]],
            next_page_token=_next(found, size, offset),
        )

    async def DeleteAllowance(
        self, request: pb.DeleteAllowanceRequest, context: Context
    ) -> pb.DeleteAllowanceResponse:
        key = messages.subject_key_from(request.level, request.tenant_id, request.subject_id)
        await self._office.allowances.delete(key)
        return pb.DeleteAllowanceResponse()

    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: Context
    ) -> pb.ListEntriesResponse:
        size = request.page_size or 100
        found = await self._office.entries(
            tenant_id=request.tenant_id,
            request_id=request.request_id,
            start_time=messages.optional_time(request, "start_time"),
            end_time=messages.optional_time(request, "end_time"),
            after_sequence=position_of(request.page_token),
            limit=size + 1,
        )
        page = found[:size]
        return pb.ListEntriesResponse(
            entries=[messages.entry_to(entry) for entry in page],
            next_page_token=token_of(page[-1].sequence) if len(found) > size else "",
        )

    async def VerifyLedger(
        self, request: pb.VerifyLedgerRequest, context: Context
    ) -> pb.VerifyLedgerResponse:
        found = await self._office.verify(request.tenant_id)
        return pb.VerifyLedgerResponse(
            checked_count=found.checked_count,
            faults=[
                pb.VerifyLedgerResponse.LedgerFault(
                    tenant_id=fault.tenant_id,
                    sequence=fault.sequence,
                    kind=fault.kind.value,
                    subject=fault.subject,
                    expected_nano_usd=fault.expected_nano_usd,
                    found_nano_usd=fault.found_nano_usd,
                )
                for fault in found.faults
            ],
        )

    async def GetCostSummary(
        self, request: pb.GetCostSummaryRequest, context: Context
    ) -> pb.GetCostSummaryResponse:
        size, offset = _page(request, default=100)
        summary = await self._office.summary(
            tenant_id=request.tenant_id,
            grouping=messages.grouping_from(request.grouping),
            tag=request.tag,
            start_time=messages.optional_time(request, "start_time"),
            end_time=messages.optional_time(request, "end_time"),
            offset=offset,
            limit=size,
        )
        return pb.GetCostSummaryResponse(
            groups=[messages.group_to(group) for group in summary.groups],
            total=messages.group_to(summary.total),
            next_page_token=token_of(offset + size) if summary.has_more else "",
        )

    async def GetTurnCost(
        self, request: pb.GetTurnCostRequest, context: Context
    ) -> pb.GetTurnCostResponse:
        found = await self._office.turn(request.tenant_id, request.request_id)
        return pb.GetTurnCostResponse(
            entries=[messages.entry_to(entry) for entry in found],
            cost_nano_usd=sum(entry.cost_nano_usd for entry in found),
        )

    async def ProjectCost(
        self, request: pb.ProjectCostRequest, context: Context
    ) -> pb.ProjectCostResponse:
        projection = self._office.project(
            Workload(
                user_count=request.user_count,
                questions_per_user=request.questions_per_user,
                input_token_count=request.input_token_count,
                output_token_count=request.output_token_count,
                cache_hit_rate=request.cache_hit_rate,
                model=request.model,
                day_count=request.day_count or 30,
            )
        )
        return pb.ProjectCostResponse(
            cost_nano_usd=projection.cost_nano_usd,
            uncached_cost_nano_usd=projection.uncached_cost_nano_usd,
            question_count=projection.question_count,
        )

    async def ListAlerts(
        self, request: pb.ListAlertsRequest, context: Context
    ) -> pb.ListAlertsResponse:
        size, offset = _page(request, default=50)
        found = await self._office.alerts(request.tenant_id, offset=offset, limit=size + 1)
        return pb.ListAlertsResponse(
            alerts=[messages.alert_to(alert) for alert in found[:size]],
            next_page_token=_next(found, size, offset),
        )

    async def WatchAlerts(  # type: ignore[override]
        self, request: pb.WatchAlertsRequest, context: Context
    ) -> None:
        stream = self._office.alert_stream(request.tenant_id, after=request.after_alert_number)
        async with aclosing(stream) as alerts:
            async for alert in alerts:
                await context.write(pb.WatchAlertsResponse(alert=messages.alert_to(alert)))


def _turn_timeout_seconds(request: pb.AdmitTurnRequest | pb.ReserveRequest) -> float:
    if request.HasField("turn_timeout"):
        return request.turn_timeout.ToNanoseconds() / 1e9
    return _DEFAULT_TURN_SECONDS


def _page(request: Any, *, default: int) -> tuple[int, int]:
    return request.page_size or default, position_of(request.page_token)


def _next(found: list[Any], size: int, offset: int) -> str:
    return token_of(offset + size) if len(found) > size else ""
