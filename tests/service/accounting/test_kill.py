"""What was acknowledged is booked, once, whenever the process is killed."""

import asyncio
import os
import random
import signal
import sys

import grpc
import pytest
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import answer_pb2, attempt_pb2, subject_pb2

KILLS = 200 if os.environ.get("PARLEY_SLOW_TESTS") else 4
CLIENTS = 8

SERVER = """
import asyncio, sys
import grpc
from pathlib import Path
from parley_services.accounting.app import open_accounting
from parley_services.accounting.settings import AccountingSettings
from parley_services.kit.rpc.interceptors import interceptors_for_tcp
from parley_services.kit.log import configure

async def main():
    configure("error")
    server = grpc.aio.server(interceptors=interceptors_for_tcp())
    port = server.add_insecure_port("127.0.0.1:0")
    settings = AccountingSettings(data_dir=Path(sys.argv[1]), user_requests_per_minute=0)
    async with open_accounting(settings) as register:
        register(server)
        await server.start()
        print(port, flush=True)
        await server.wait_for_termination()

asyncio.run(main())
"""


async def start(data_dir):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


def settle(request_id):
    attempt = attempt_pb2.Attempt(
        number=1, provider="simulated", model="m", cost_nano_usd=100, price_version="test"
    )
    return pb.SettleRequest(
        request_id=request_id,
        subject=subject_pb2.Subject(tenant_id="acme", user_id="ada"),
        attempts=[attempt],
        source=answer_pb2.ANSWER_SOURCE_MODEL,
    )


@pytest.mark.parametrize("seed", [1])
async def test_no_booking_is_lost_or_doubled(tmp_path, seed):
    """
    Clients settle, and settle again what was not acknowledged, as the outbox does.

    The default suite kills a few times; PARLEY_SLOW_TESTS=1 kills 200 times.
    """
    draw = random.Random(seed)
    acknowledged: set[str] = set()
    waiting: set[str] = set()
    count = 0

    for _ in range(KILLS):
        process, port = await start(tmp_path)
        enough = asyncio.Event()
        kill_at = len(acknowledged) + draw.randint(1, 60)

        async def client(stub, enough=enough, kill_at=kill_at):
            nonlocal count
            while True:
                if waiting:
                    request_id = waiting.pop()
                else:
                    count += 1
                    request_id = f"r{count}"
                try:
                    await stub.Settle(settle(request_id), timeout=20)
                except grpc.aio.AioRpcError:
                    waiting.add(request_id)
                    return
                acknowledged.add(request_id)
                if len(acknowledged) >= kill_at:
                    enough.set()

        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = pb_grpc.AccountingServiceStub(channel)
            clients = [asyncio.create_task(client(stub)) for _ in range(CLIENTS)]
            await enough.wait()
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await asyncio.gather(*clients)

    process, port = await start(tmp_path)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = pb_grpc.AccountingServiceStub(channel)
        for request_id in waiting:
            await stub.Settle(settle(request_id), timeout=20)
        total = (await stub.GetCostSummary(pb.GetCostSummaryRequest(), timeout=20)).total
        verified = await stub.VerifyLedger(pb.VerifyLedgerRequest(), timeout=20)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    turns = len(acknowledged | waiting)
    assert (total.request_count, total.cost_nano_usd) == (turns, 100 * turns)
    assert (verified.checked_count, list(verified.faults)) == (turns, [])
