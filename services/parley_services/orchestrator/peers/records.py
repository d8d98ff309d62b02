"""Puts what must be written after a turn into the outbox, and delivers it from there."""

from collections.abc import Mapping

import grpc
from parley.accounting.v1 import accounting_service_pb2 as accounting_pb2
from parley.accounting.v1 import accounting_service_pb2_grpc as accounting_grpc
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as prompts_pb2
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as prompts_grpc
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as cache_pb2
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as cache_grpc

from parley_services.kit.chat import to_proto
from parley_services.kit.chat.answer import AnswerSource
from parley_services.orchestrator.finish.outbox import Deliver, Outbox
from parley_services.orchestrator.peers import accounting, prompt_registry, semantic_cache
from parley_services.orchestrator.peers.calling import calling
from parley_services.orchestrator.values.records import (
    NewAnswer,
    Outcome,
    PendingTurn,
    Record,
    Settlement,
    ShadowOutcome,
)

SETTLE, RELEASE, STORE = "settle", "release", "store"
OUTCOME, SHADOW = "outcome", "shadow"


class OutboxWriter:
    """`PostTurnWriter` by an outbox."""

    def __init__(self, outbox: Outbox, *, orphaned_turn_release_delay_seconds: float) -> None:
        """A turn that died with its process is released so long after its last moment."""
        self._outbox = outbox
        self._release_delay_seconds = orphaned_turn_release_delay_seconds

    def begin(self, turn: PendingTurn) -> int:
        release = accounting_pb2.ReleaseRequest(
            request_id=turn.request_id,
            reservation_id=turn.reservation_id,
            subject=to_proto.subject(turn.subject),
        )
        due_time = turn.last_time.timestamp() + self._release_delay_seconds
        return self._outbox.promise(RELEASE, release.SerializeToString(), due_time=due_time)

    def forget(self, outbox_id: int) -> None:
        self._outbox.withdraw(outbox_id)

    def put(self, record: Record, *, outbox_id: int = 0) -> None:
        match record:
            case Settlement(attempts=(), source=AnswerSource.UNSPECIFIED):
                release = accounting_pb2.ReleaseRequest(
                    request_id=record.request_id,
                    reservation_id=record.reservation_id,
                    subject=to_proto.subject(record.subject),
                )
                payload = release.SerializeToString()
                self._outbox.put(RELEASE, payload, promise_id=outbox_id)
            case Settlement():
                payload = accounting.settlement_to_proto(record).SerializeToString()
                self._outbox.put(SETTLE, payload, promise_id=outbox_id)
            case NewAnswer():
                self._outbox.put(
                    STORE, semantic_cache.new_answer_to_proto(record).SerializeToString()
                )
            case Outcome():
                message = prompt_registry.outcome_to_proto(record)
                self._outbox.put(OUTCOME, message.SerializeToString())
            case ShadowOutcome():
                shadow = prompt_registry.shadow_outcome_to_proto(record)
                self._outbox.put(SHADOW, shadow.SerializeToString())


def deliveries(
    *,
    accounting_channel: grpc.aio.Channel,
    semantic_cache_channel: grpc.aio.Channel,
    prompt_registry_channel: grpc.aio.Channel,
    timeout_seconds: float,
) -> Mapping[str, Deliver]:
    """Return what delivers each kind of record."""
    ledger: accounting_grpc.AccountingServiceAsyncStub = accounting_grpc.AccountingServiceStub(
        accounting_channel
    )
    cache: cache_grpc.SemanticCacheServiceAsyncStub = cache_grpc.SemanticCacheServiceStub(
        semantic_cache_channel
    )
    prompts: prompts_grpc.PromptRegistryServiceAsyncStub = prompts_grpc.PromptRegistryServiceStub(
        prompt_registry_channel
    )

    async def settle(payload: bytes) -> None:
        with calling(accounting.PEER):
            await ledger.Settle(
                accounting_pb2.SettleRequest.FromString(payload), timeout=timeout_seconds
            )

    async def release(payload: bytes) -> None:
        with calling(accounting.PEER):
            await ledger.Release(
                accounting_pb2.ReleaseRequest.FromString(payload), timeout=timeout_seconds
            )

    async def store(payload: bytes) -> None:
        with calling(semantic_cache.PEER):
            await cache.Store(cache_pb2.StoreRequest.FromString(payload), timeout=timeout_seconds)

    async def report(payload: bytes) -> None:
        with calling(prompt_registry.PEER):
            await prompts.ReportOutcome(
                prompts_pb2.ReportOutcomeRequest.FromString(payload), timeout=timeout_seconds
            )

    async def report_shadow(payload: bytes) -> None:
        with calling(prompt_registry.PEER):
            await prompts.ReportShadow(
                prompts_pb2.ReportShadowRequest.FromString(payload), timeout=timeout_seconds
            )

    return {
        SETTLE: settle,
        RELEASE: release,
        STORE: store,
        OUTCOME: report,
        SHADOW: report_shadow,
    }
