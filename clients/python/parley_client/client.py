"""The client."""

from types import TracebackType
from typing import Self

import grpc
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from parley_client.errors import ParleyError
from parley_client.stream import ChatStream

DEFAULT_TIMEOUT_SECONDS = 30.0


class Parley:
    """
    A connection to a Parley orchestrator, shared by any number of turns.

    *address* is a gRPC target as `localhost:50050`. Without *credentials* the connection is
    not encrypted, which suits loopback and a service mesh.
    """

    def __init__(
        self,
        address: str = "localhost:50050",
        *,
        api_key: str,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._channel = (
            grpc.aio.insecure_channel(address)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials)
        )
        self._stub: pb_grpc.OrchestratorServiceAsyncStub = pb_grpc.OrchestratorServiceStub(
            self._channel
        )
        self._metadata = (("authorization", f"Bearer {api_key}"),)

    def chat(
        self,
        text: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        request: pb.ChatRequest | None = None,
    ) -> ChatStream:
        """
        Start a turn. *request* holds whatever goes beyond the text, as `ChatRequest` says.

        The turn begins at once; read the stream it returns.
        """
        message = pb.ChatRequest()
        if request is not None:
            message.CopyFrom(request)
        message.text = text
        return ChatStream(
            self._stub.Chat(message, timeout=timeout_seconds, metadata=self._metadata)
        )

    async def rate(
        self,
        request_id: str,
        *,
        thumbs_up: bool | None = None,
        stars: int | None = None,
        comment: str = "",
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        """Rate a finished turn by thumbs or by 1 to 5 stars. Raises ParleyError."""
        message = pb.RateTurnRequest(request_id=request_id, comment=comment)
        if thumbs_up is not None:
            message.thumbs_up = thumbs_up
        if stars is not None:
            message.stars = stars
        try:
            await self._stub.RateTurn(message, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise ParleyError.of(error) from None

    async def close(self) -> None:
        """Close the connection, which ends the turns in flight."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
