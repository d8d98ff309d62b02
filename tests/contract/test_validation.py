"""A request that breaks a rule is refused alike over TCP and in process."""

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from parley.guardrails.v1 import guardrails_service_pb2 as guardrails_pb
from parley.guardrails.v1 import guardrails_service_pb2_grpc as guardrails_grpc
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from parley_services.kit.errors import InvalidArgument
from parley_services.kit.rpc.status import service_error_of

from tests.support.serving import served


class Orchestrator(pb_grpc.OrchestratorServiceServicer):
    def __init__(self):
        self.seen = []

    async def Chat(self, request, context):
        self.seen.append(request)
        await context.write(pb.ChatResponse())

    async def GetJob(self, request, context):
        self.seen.append(request)
        return pb.GetJobResponse()


class Guardrails(guardrails_grpc.GuardrailsServiceServicer):
    def __init__(self):
        self.seen = []

    async def ScanOutput(self, request_iterator, context):
        async for request in request_iterator:
            self.seen.append(request.WhichOneof("step"))
            await context.write(guardrails_pb.ScanOutputResponse(released="x"))


@pytest.fixture
def servicers():
    return Orchestrator(), Guardrails()


@pytest.fixture
async def channel(transport, servicers):
    def register(server):
        pb_grpc.add_OrchestratorServiceServicer_to_server(servicers[0], server)
        guardrails_grpc.add_GuardrailsServiceServicer_to_server(servicers[1], server)

    async with served(transport, register) as channel:
        yield channel


def bad_request_of(error):
    """Return the fields that *error* names, which is INVALID_ARGUMENT with a BadRequest."""
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(service_error_of(error), InvalidArgument)
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in rpc_status.from_call(error).details)
    assert all(violation.description for violation in bad_request.field_violations)
    return [violation.field for violation in bad_request.field_violations]


async def test_one_request_one_answer(channel, servicers):
    stub = pb_grpc.OrchestratorServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetJob(pb.GetJobRequest(job_id="17"), timeout=60)
    assert bad_request_of(caught.value) == ["job_id"]
    assert servicers[0].seen == []


async def test_one_request_a_stream_of_answers(channel, servicers):
    stub = pb_grpc.OrchestratorServiceStub(channel)
    request = pb.ChatRequest(text="Why?", history=[{"text": "Hi"}])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Chat(request, timeout=60).read()
    assert bad_request_of(caught.value) == ["history[0].role"]
    assert servicers[0].seen == []


async def test_each_request_of_a_stream(channel, servicers):
    stub = guardrails_grpc.GuardrailsServiceStub(channel)
    call = stub.ScanOutput(timeout=60)
    await call.write(guardrails_pb.ScanOutputRequest(start={}))
    assert (await call.read()).released == "x"
    await call.write(guardrails_pb.ScanOutputRequest(text="token"))
    assert (await call.read()).released == "x"
    await call.write(guardrails_pb.ScanOutputRequest(start={"response_format": {"type": 9}}))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert bad_request_of(caught.value) == ["start.response_format.type"]
    assert servicers[1].seen == ["start", "text"]


async def test_good_requests_pass(channel, servicers):
    stub = pb_grpc.OrchestratorServiceStub(channel)
    assert await stub.Chat(pb.ChatRequest(text="Why?"), timeout=60).read() == pb.ChatResponse()
    assert len(servicers[0].seen) == 1
