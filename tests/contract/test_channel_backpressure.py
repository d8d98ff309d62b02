"""A writer waits for a slow reader, over TCP and in process, in both directions."""

import asyncio

from tests.support.echo import echo, pb

FOREVER = 30.0
"""Deadline of calls that end before it."""


async def until_unchanged(count):
    """Return when *count* has grown and stands still."""
    before = 0
    while not count() or count() != before:
        before = count()
        await asyncio.sleep(0.1)


async def test_writer_waits_for_a_slow_reader(connect):
    written = 0

    async def handler(request, context):
        nonlocal written
        for index in range(10_000):
            await context.write(pb.DownloadResponse(index=index, text="x" * 10_000))
            written += 1

    stub = (await connect(echo(Download=handler))).stub
    call = stub.Download(pb.DownloadRequest(), timeout=FOREVER)
    await until_unchanged(lambda: written)
    assert written < 10_000
    indexes = [message.index async for message in call]

    assert indexes == list(range(10_000))


async def test_client_writer_waits_for_a_slow_handler(connect):
    go_on = asyncio.Event()
    written = 0

    async def requests():
        nonlocal written
        for _ in range(2_000):
            yield pb.UploadRequest(text="x" * 10_000)
            written += 1

    async def handler(request_iterator, context):
        await go_on.wait()
        return pb.UploadResponse(texts=[str(len([_ async for _ in request_iterator]))])

    call = (await connect(echo(Upload=handler))).stub.Upload(requests(), timeout=FOREVER)
    await until_unchanged(lambda: written)
    assert written < 2_000
    go_on.set()

    assert list((await call).texts) == ["2000"]
