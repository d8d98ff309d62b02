"""Metadata travels alike over TCP and in process."""

import asyncio
import contextvars

import grpc
import pytest

from tests.support.echo import echo, pb


def recording():
    seen = {}

    async def handler(request, context):
        seen["metadata"] = context.invocation_metadata()
        seen["context"] = context
        return pb.UnaryResponse()

    return seen, echo(Unary=handler)


@pytest.mark.parametrize("kind", [tuple, lambda pairs: grpc.aio.Metadata(*pairs)])
async def test_invocation_metadata(connect, kind):
    seen, servicer = recording()
    pairs = (("x-one", "1"), ("x-two", "2"), ("x-two", "3"), ("x-raw-bin", b"\x00\xff"))
    await (await connect(servicer)).stub.Unary(pb.UnaryRequest(), metadata=kind(pairs))

    ours = [(key, value) for key, value in seen["metadata"] if key.startswith("x-")]
    assert sorted(ours) == sorted(pairs)
    assert dict(seen["metadata"])["x-one"] == "1"
    assert {entry.key: entry.value for entry in seen["metadata"]}["x-raw-bin"] == b"\x00\xff"


async def test_text_given_as_bytes_arrives_as_text(connect):
    seen, servicer = recording()
    await (await connect(servicer)).stub.Unary(pb.UnaryRequest(), metadata=(("x-text", b"hi"),))

    assert dict(seen["metadata"])["x-text"] == "hi"


@pytest.mark.parametrize(
    "metadata", [(("X-Upper", "1"),), (("x space", "1"),), (("", "1"),)], ids=repr
)
async def test_illegal_keys_are_refused(connect, metadata):
    stub = (await connect()).stub

    with pytest.raises(grpc.aio.InternalError):
        await stub.Unary(pb.UnaryRequest(), metadata=metadata)


async def test_initial_metadata_comes_before_the_first_message(connect):
    go_on = asyncio.Event()

    async def handler(request, context):
        await context.send_initial_metadata((("x-first", "yes"),))
        await go_on.wait()
        yield pb.DownloadResponse(index=7)

    call = (await connect(echo(Download=handler))).stub.Download(pb.DownloadRequest())
    metadata = await call.initial_metadata()
    go_on.set()

    assert metadata["x-first"] == "yes"
    assert (await call.read()).index == 7
    assert await call.read() is grpc.aio.EOF


async def test_initial_metadata_is_sent_once(connect):
    errors = []

    async def handler(request, context):
        await context.send_initial_metadata((("x-first", "yes"),))
        try:
            await context.send_initial_metadata((("x-second", "no"),))
        except grpc.aio.UsageError as error:
            errors.append(error)
        return pb.UnaryResponse()

    await (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())

    assert len(errors) == 1


async def test_initial_metadata_is_empty_when_none_was_sent(connect):
    call = (await connect()).stub.Unary(pb.UnaryRequest())

    assert len(await call.initial_metadata()) == 0
    await call


async def test_trailing_metadata(connect):
    async def handler(request, context):
        context.set_trailing_metadata((("x-last", "yes"), ("x-last-bin", b"\x01")))
        assert next(iter(context.trailing_metadata())) == ("x-last", "yes")
        yield pb.DownloadResponse()

    call = (await connect(echo(Download=handler))).stub.Download(pb.DownloadRequest())
    [_ async for _ in call]
    trailing = await call.trailing_metadata()

    assert (trailing["x-last"], trailing["x-last-bin"]) == ("yes", b"\x01")


async def test_context_says_what_was_set(connect):
    said = []

    async def handler(request, context):
        said.append((context.code(), context.details()))
        context.set_code(grpc.StatusCode.ABORTED)
        context.set_details("why")
        said.append((context.code(), context.details()))
        context.set_code(grpc.StatusCode.OK)
        context.set_compression(grpc.Compression.Gzip)
        context.disable_next_message_compression()
        said.append(bool(context.peer()))
        said.append(context.auth_context().get("no such"))
        said.append(context.peer_identities())
        said.append(context.peer_identity_key())
        said.append(context.cancelled())
        said.append(context.done())
        return pb.UnaryResponse()

    await (await connect(echo(Unary=handler))).stub.Unary(pb.UnaryRequest())

    assert said == [
        (None, ""),
        (grpc.StatusCode.ABORTED, "why"),
        True,
        None,
        None,
        None,
        False,
        False,
    ]


async def test_context_variables_do_not_leak(connect):
    variable = contextvars.ContextVar("leak", default="default")
    seen = []

    async def handler(request, context):
        seen.append(variable.get())
        variable.set("of the server")
        return pb.UnaryResponse()

    stub = (await connect(echo(Unary=handler))).stub
    variable.set("of the client")
    await stub.Unary(pb.UnaryRequest())

    assert seen == ["default"]
    assert variable.get() == "of the client"
