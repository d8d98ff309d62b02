"""Accounting over gRPC, in process or not."""

import grpc
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import answer_pb2

from parley_services.kit.chat import from_proto, to_proto
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.orchestrator.peers.calling import calling
from parley_services.orchestrator.values.accounting import (
    Principal,
    Reservation,
    ReservationRequest,
)
from parley_services.orchestrator.values.records import Settlement

PEER = "accounting"


class GrpcAccounting:
    """`Accounting` by the accounting service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.AccountingServiceAsyncStub = pb_grpc.AccountingServiceStub(channel)

    async def authenticate(self, secret_sha256: bytes, *, timeout_seconds: float) -> Principal:
        with calling(PEER):
            response = await self._stub.AuthenticateKey(
                pb.AuthenticateKeyRequest(secret_sha256=secret_sha256), timeout=timeout_seconds
            )
        key = response.key
        scopes = set(key.scopes)
        return Principal(
            subject=from_proto.subject(key.subject),
            may_chat=bool(scopes & {pb.KEY_SCOPE_CHAT, pb.KEY_SCOPE_ADMIN}),
            may_act_for_users=key.impersonation_allowed,
            max_age_seconds=from_proto.seconds(response.max_age),
            has_hard_budget=response.hard_budget_applies,
        )

    async def reserve(self, request: ReservationRequest, *, timeout_seconds: float) -> Reservation:
        with calling(PEER):
            response = await self._stub.Reserve(
                pb.ReserveRequest(
                    request_id=request.request_id,
                    subject=to_proto.subject(request.subject),
                    model=request.model,
                    input_token_count=request.input_token_count,
                    max_output_token_count=request.max_output_token_count,
                    template=request.template,
                    tags=request.tags,
                    turn_timeout=to_proto.duration(max(0.0, request.turn_timeout_seconds)),
                    reservation_id=request.reservation_id,
                ),
                timeout=timeout_seconds,
            )
        return Reservation(
            reservation_id=response.reservation_id,
            decision=BudgetDecision(response.decision),
            downgrade_model=response.downgrade_model,
            policy_rule=response.policy_rule,
            covered_output_token_count=response.covered_output_token_count,
        )

    async def extend(
        self,
        *,
        request_id: str,
        reservation_id: str,
        step: int,
        output_token_count: int,
        model: str,
        timeout_seconds: float,
    ) -> int:
        with calling(PEER):
            response = await self._stub.Extend(
                pb.ExtendRequest(
                    request_id=request_id,
                    reservation_id=reservation_id,
                    step=step,
                    output_token_count=output_token_count,
                    model=model,
                ),
                timeout=timeout_seconds,
            )
        return response.covered_output_token_count


def settlement_to_proto(settlement: Settlement) -> pb.SettleRequest:
    """Return *settlement* as it is sent, now or after a crash."""
    return pb.SettleRequest(
        request_id=settlement.request_id,
        reservation_id=settlement.reservation_id,
        subject=to_proto.subject(settlement.subject),
        attempts=[to_proto.attempt(attempt) for attempt in settlement.attempts],
        source=answer_pb2.AnswerSource.ValueType(settlement.source),
        saved_cost_nano_usd=settlement.saved_cost_nano_usd,
        template=settlement.template,
        template_version=settlement.template_version,
        tags=settlement.tags,
        end_time=to_proto.timestamp(settlement.end_time),
        model=settlement.model,
    )
