import asyncio

import pytest
from parley_services.kit.rpc import request_context
from parley_services.kit.rpc.request_context import NO_REQUEST, RequestContext, from_metadata

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_peers_get():
    both = RequestContext(request_id="r", traceparent=TRACE)

    assert both.metadata == (("x-request-id", "r"), ("traceparent", TRACE))
    assert RequestContext(request_id="r").metadata == (("x-request-id", "r"),)
    assert NO_REQUEST.metadata == ()


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        (),
        (("x-other", "1"),),
        (("x-request-id", "x" * 129),),
        (("x-request-id", "new\nline"),),
        (("x-request-id", b"bytes"),),
        (("traceparent", TRACE + "-more"),),
        (("traceparent", TRACE.upper()),),
    ],
)
def test_malformed_entries_count_as_absent(metadata):
    assert from_metadata(metadata) is NO_REQUEST


def test_well_formed_entries():
    metadata = (("x-request-id", "r-1"), ("traceparent", TRACE), ("x-other", "1"))

    assert from_metadata(metadata) == RequestContext(request_id="r-1", traceparent=TRACE)


async def test_context_is_of_the_task():
    async def serve(request_id):
        request_context.enter(RequestContext(request_id=request_id))
        await asyncio.sleep(0)
        return request_context.current().request_id

    assert await asyncio.gather(serve("a"), serve("b")) == ["a", "b"]
    assert request_context.current() is NO_REQUEST


def test_the_tenant_goes_to_peers_in_ascii():
    context = RequestContext(request_id="r", tenant_id="Mäx & co")

    assert context.metadata[1] == ("x-parley-tenant-id", "M%C3%A4x%20%26%20co")
    assert from_metadata(context.metadata) == context


def test_what_an_application_says_of_its_tenant_is_not_believed():
    metadata = RequestContext(request_id="r", tenant_id="acme").metadata

    assert from_metadata(metadata, of_a_service=False) == RequestContext(request_id="r")


async def test_what_becomes_known_is_added():
    async def serve():
        request_context.enter(RequestContext(request_id="r", traceparent=TRACE))
        request_context.bind(tenant_id="acme")
        request_context.bind(request_id="r2")
        return request_context.current()

    assert await asyncio.create_task(serve()) == RequestContext(
        request_id="r2", traceparent=TRACE, tenant_id="acme"
    )
    assert request_context.current() is NO_REQUEST
