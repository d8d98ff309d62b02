"""A service with one method of each kind, whose handlers a test chooses."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

pb, pb_grpc = grpc.protos_and_services("tests/support/echo.proto")

SERVICE = "parley.test.echo.v1.EchoService"


class Echo(pb_grpc.EchoServiceServicer):
    """Gives back what it gets."""

    async def Unary(self, request, context):
        return pb.UnaryResponse(text=request.text)

    async def Download(self, request, context):
        for index in range(request.count):
            yield pb.DownloadResponse(text=request.text, index=index)

    async def Upload(self, request_iterator, context):
        return pb.UploadResponse(texts=[request.text async for request in request_iterator])

    async def Converse(self, request_iterator, context):
        async for request in request_iterator:
            yield pb.ConverseResponse(text=request.text)


def echo(**handlers: Callable[[Any, Any], Awaitable[Any]]) -> Echo:
    """Return an Echo that answers by *handlers* where given: `echo(Unary=fails)`."""
    methods = {name: staticmethod(handler) for name, handler in handlers.items()}
    return type("ScriptedEcho", (Echo,), methods)()
