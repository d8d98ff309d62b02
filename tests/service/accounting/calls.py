"""Calls that the tests of accounting make again and again."""

import grpc
import pytest
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.chat.v1 import answer_pb2, attempt_pb2, subject_pb2, usage_pb2
from parley_services.kit.rpc.status import service_error_of

ADA = subject_pb2.Subject(tenant_id="acme", team_id="core", user_id="ada", key_id="key_1")
USD = 10**9


def reserve(request_id="r1", subject=ADA, **fields):
    fields = {"model": "gpt-4o", "input_token_count": 1000, "max_output_token_count": 100} | fields
    return pb.ReserveRequest(request_id=request_id, subject=subject, **fields)


def settle(request_id="r1", subject=ADA, *, cost=5_000_000, number=1, **fields):
    attempt = attempt_pb2.Attempt(
        number=number,
        provider="openai",
        model="gpt-4o",
        usage=usage_pb2.Usage(input_token_count=1000, output_token_count=100),
        cost_nano_usd=cost,
        price_version="test",
    )
    return pb.SettleRequest(
        request_id=request_id,
        subject=subject,
        attempts=[attempt],
        source=answer_pb2.ANSWER_SOURCE_MODEL,
        model="gpt-4o",
        **fields,
    )


async def refused(call, kind):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = service_error_of(caught.value)
    assert isinstance(error, kind), caught.value
    return error


async def set_budget(stub, limit_nano_usd, *, hard=True):
    await stub.SetAllowance(
        pb.SetAllowanceRequest(
            allowance=pb.Allowance(
                level=pb.SUBJECT_LEVEL_USER,
                tenant_id="acme",
                subject_id="ada",
                budgets=[
                    pb.Budget(period=pb.BUDGET_PERIOD_DAY, limit_nano_usd=limit_nano_usd, hard=hard)
                ],
            )
        )
    )
