"""The gRPC face of accounting: converts messages, decides nothing."""

from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc

from parley_services.accounting import from_proto, to_proto
from parley_services.accounting.accounting import Accounting
from parley_services.accounting.keys.keys import KeyStore
from parley_services.accounting.paging import position_of, token_of
from parley_services.accounting.reports.queries import AccountingQueries
from parley_services.kit.chat import from_proto as chat_from_proto
from parley_services.kit.chat import to_proto as chat_to_proto
from parley_services.kit.clock import Clock

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class AccountingServicer(pb_grpc.AccountingServiceServicer):
    """Every method of `AccountingService`."""

    def __init__(
        self,
        *,
        accounting: Accounting,
        keys: KeyStore,
        queries: AccountingQueries,
        clock: Clock,
        key_max_age_seconds: float,
    ) -> None:
        self._accounting = accounting
        self._keys = keys
        self._queries = queries
        self._clock = clock
        self._key_max_age = chat_to_proto.duration(key_max_age_seconds)

    async def AuthenticateKey(
        self, request: pb.AuthenticateKeyRequest, context: Context
    ) -> pb.AuthenticateKeyResponse:
        key = await self._keys.authenticate(request.secret_sha256)
        return pb.AuthenticateKeyResponse(
            key=to_proto.key(key),
            max_age=self._key_max_age,
            hard_budget_applies=await self._queries.allowances.has_hard_budget(key.subject),
        )

    async def AdmitTurn(
        self, request: pb.AdmitTurnRequest, context: Context
    ) -> pb.AdmitTurnResponse:
        expire_time = await self._accounting.admit(
            request.request_id,
            chat_from_proto.subject(request.subject),
            reservation_id=request.reservation_id,
            turn_timeout_seconds=from_proto.turn_timeout_seconds(request),
        )
        return pb.AdmitTurnResponse(expire_time=chat_to_proto.timestamp(expire_time))

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.ReserveResponse:
        turn = await self._accounting.reserve(from_proto.reserve(request))
        return to_proto.reservation(turn, self._accounting.lease_end(turn))

    async def Extend(self, request: pb.ExtendRequest, context: Context) -> pb.ExtendResponse:
        turn = await self._accounting.extend(from_proto.extend(request))
        return to_proto.extension(turn, self._accounting.lease_end(turn))

    async def Settle(self, request: pb.SettleRequest, context: Context) -> pb.SettleResponse:
        settled = await self._accounting.settle(from_proto.settle(request))
        return pb.SettleResponse(
            cost_nano_usd=settled.cost_nano_usd, already_settled=settled.was_settled
        )

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.ReleaseResponse:
        await self._accounting.release(
            request.request_id,
            chat_from_proto.subject(request.subject),
            request.reservation_id,
        )
        return pb.ReleaseResponse()

    async def ReportAttempts(
        self, request: pb.ReportAttemptsRequest, context: Context
    ) -> pb.ReportAttemptsResponse:
        reported = [from_proto.reported_attempt(each) for each in request.attempts]
        return pb.ReportAttemptsResponse(booked_count=await self._accounting.book(reported))

    async def CreateKey(
        self, request: pb.CreateKeyRequest, context: Context
    ) -> pb.CreateKeyResponse:
        key, secret = await self._keys.create(from_proto.new_key(request))
        return pb.CreateKeyResponse(key=to_proto.key(key), secret=secret)

    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        size, offset = _page(request, default=50)
        found = await self._keys.page(request.tenant_id, offset=offset, limit=size + 1)
        return pb.ListKeysResponse(
            keys=[to_proto.key(key) for key in found[:size]],
            next_page_token=_next(found, size, offset),
        )

    async def RotateKey(
        self, request: pb.RotateKeyRequest, context: Context
    ) -> pb.RotateKeyResponse:
        grace = from_proto.optional_span(request, "grace")
        key, secret = await self._keys.rotate(request.key_id, grace)
        self._queries.key_notifier.notify()
        return pb.RotateKeyResponse(key=to_proto.key(key), secret=secret)

    async def RevokeKey(
        self, request: pb.RevokeKeyRequest, context: Context
    ) -> pb.RevokeKeyResponse:
        key = await self._keys.revoke(request.key_id)
        self._queries.key_notifier.notify()
        return pb.RevokeKeyResponse(key=to_proto.key(key))

    async def WatchKeys(  # type: ignore[override]
        self, request: pb.WatchKeysRequest, context: Context
    ) -> None:
        async with aclosing(self._queries.key_changes()) as changes:
            async for key_id in changes:
                await context.write(pb.WatchKeysResponse(key_id=key_id))

    async def SetAllowance(
        self, request: pb.SetAllowanceRequest, context: Context
    ) -> pb.SetAllowanceResponse:
        used = await self._queries.allowances.put(from_proto.allowance(request.allowance))
        return pb.SetAllowanceResponse(allowance=to_proto.allowance(used, self._clock.now()))

    async def ListAllowances(
        self, request: pb.ListAllowancesRequest, context: Context
    ) -> pb.ListAllowancesResponse:
        size, offset = _page(request, default=50)
        found = await self._queries.allowances.page(
            request.tenant_id, offset=offset, limit=size + 1
        )
        now = self._clock.now()
        return pb.ListAllowancesResponse(
            allowances=[to_proto.allowance(each, now) for each in found[:size]],
            next_page_token=_next(found, size, offset),
        )

    async def DeleteAllowance(
        self, request: pb.DeleteAllowanceRequest, context: Context
    ) -> pb.DeleteAllowanceResponse:
        key = from_proto.subject_key(request)
        await self._queries.allowances.delete(key)
        return pb.DeleteAllowanceResponse()

    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: Context
    ) -> pb.ListEntriesResponse:
        size = request.page_size or 100
        found = await self._queries.entries(
            tenant_id=request.tenant_id,
            request_id=request.request_id,
            start_time=chat_from_proto.optional_time(request, "start_time"),
            end_time=chat_from_proto.optional_time(request, "end_time"),
            after_sequence=position_of(request.page_token),
            limit=size + 1,
        )
        page = found[:size]
        return pb.ListEntriesResponse(
            entries=[to_proto.entry(entry) for entry in page],
            next_page_token=token_of(page[-1].sequence) if len(found) > size else "",
        )

    async def VerifyLedger(
        self, request: pb.VerifyLedgerRequest, context: Context
    ) -> pb.VerifyLedgerResponse:
        found = await self._queries.verify(request.tenant_id)
        return pb.VerifyLedgerResponse(
            checked_count=found.checked_count,
            faults=[to_proto.fault(fault) for fault in found.faults],
        )

    async def GetCostSummary(
        self, request: pb.GetCostSummaryRequest, context: Context
    ) -> pb.GetCostSummaryResponse:
        size, offset = _page(request, default=100)
        summary = await self._queries.summary(
            tenant_id=request.tenant_id,
            grouping=from_proto.grouping(request.grouping),
            tag=request.tag,
            start_time=chat_from_proto.optional_time(request, "start_time"),
            end_time=chat_from_proto.optional_time(request, "end_time"),
            offset=offset,
            limit=size,
        )
        return pb.GetCostSummaryResponse(
            groups=[to_proto.group(group) for group in summary.groups],
            total=to_proto.group(summary.total),
            next_page_token=token_of(offset + size) if summary.has_more else "",
        )

    async def GetTurnCost(
        self, request: pb.GetTurnCostRequest, context: Context
    ) -> pb.GetTurnCostResponse:
        found = await self._queries.turn(request.tenant_id, request.request_id)
        return pb.GetTurnCostResponse(
            entries=[to_proto.entry(entry) for entry in found],
            cost_nano_usd=sum(entry.cost_nano_usd for entry in found),
        )

    async def ProjectCost(
        self, request: pb.ProjectCostRequest, context: Context
    ) -> pb.ProjectCostResponse:
        return to_proto.projection(self._queries.project(from_proto.workload(request)))

    async def ListAlerts(
        self, request: pb.ListAlertsRequest, context: Context
    ) -> pb.ListAlertsResponse:
        size, offset = _page(request, default=50)
        found = await self._queries.alerts(request.tenant_id, offset=offset, limit=size + 1)
        return pb.ListAlertsResponse(
            alerts=[to_proto.alert(alert) for alert in found[:size]],
            next_page_token=_next(found, size, offset),
        )

    async def WatchAlerts(  # type: ignore[override]
        self, request: pb.WatchAlertsRequest, context: Context
    ) -> None:
        stream = self._queries.alert_stream(request.tenant_id, after=request.after_alert_number)
        async with aclosing(stream) as alerts:
            async for alert in alerts:
                await context.write(pb.WatchAlertsResponse(alert=to_proto.alert(alert)))


def _page(request: Any, *, default: int) -> tuple[int, int]:
    return request.page_size or default, position_of(request.page_token)


def _next(found: list[Any], size: int, offset: int) -> str:
    return token_of(offset + size) if len(found) > size else ""
