"""Which keys changed in accounting, so that none is trusted after it was revoked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc

from parley_services.orchestrator.admission.key_cache import KeyCache
from parley_services.orchestrator.peers.accounting import PEER
from parley_services.orchestrator.peers.watching import watching


@asynccontextmanager
async def watching_keys(channel: grpc.aio.Channel, key_cache: KeyCache) -> AsyncIterator[None]:
    """Let *key_cache* forget what changes, while the context lasts."""
    stub: pb_grpc.AccountingServiceAsyncStub = pb_grpc.AccountingServiceStub(channel)

    def take(message: pb.WatchKeysResponse) -> None:
        if message.key_id:
            key_cache.forget(message.key_id)
        else:
            key_cache.begin_watch()

    async with watching(
        PEER,
        lambda timeout: stub.WatchKeys(pb.WatchKeysRequest(), timeout=timeout),
        take,
        lost=key_cache.end_watch,
    ):
        yield
