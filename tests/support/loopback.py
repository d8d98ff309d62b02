"""A raw server on loopback that ends with its test."""

import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def listening(serve):
    """Serve connections by `serve(reader, writer)` on a free port, and yield the port."""
    serving: set[asyncio.Task[None]] = set()

    async def handle(reader, writer):
        task = asyncio.current_task()
        serving.add(task)
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            # asyncio logs a handler that was cancelled as an error.
            return
        finally:
            serving.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()
