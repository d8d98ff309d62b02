"""Asks OpenAI's Chat Completions, and servers that speak it, through OpenAI's SDK."""

from typing import Any, Final, cast

import httpx2
import openai

from services.model_router.failures import FailureKind, ProviderError
from services.model_router.provider import ProviderCall, ProviderStream
from services.model_router.providers.openai_chat_body import chat_body
from services.model_router.providers.openai_chat_decoder import ChatDecoder
from services.model_router.providers.raw_stream import (
    RawStream,
    error_of_connection,
    error_of_response,
)

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
NO_KEY: Final = "none"
"""What is sent to a compatible server that wants no key; the SDK insists on one."""


class OpenAIProvider:
    """
    Asks one server for chat completions.

    The SDK makes the URL, the headers and the errors; its retries are off, since the
    router is the one that retries.
    """

    def __init__(
        self,
        *,
        http_client: httpx2.AsyncClient,
        base_url: str = OPENAI_BASE_URL,
        limit_field: str = "max_completion_tokens",
    ) -> None:
        """Own *http_client*, which must have its timeouts set."""
        self._http_client = http_client
        self._base_url = base_url
        self._limit_field = limit_field
        self._clients: dict[str, openai.AsyncOpenAI] = {}

    async def open(self, call: ProviderCall) -> ProviderStream:
        client = self._client(call.api_key)
        body = chat_body(call, limit_field=self._limit_field)
        try:
            # The generic method: the typed one checks each field of the body, for 0.5 ms.
            response = await client.post(
                "/chat/completions",
                cast_to=cast(Any, httpx2.Response),
                body=body,
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )
        except openai.APIStatusError as error:
            raise error_of_response(error.response, error.body) from None
        except openai.APIConnectionError as error:
            raise error_of_connection(error.__cause__) from None
        except openai.OpenAIError:
            raise ProviderError(FailureKind.MALFORMED) from None
        return RawStream(cast(httpx2.Response, response), ChatDecoder())

    async def aclose(self) -> None:
        await self._http_client.aclose()

    def _client(self, api_key: str) -> openai.AsyncOpenAI:
        if api_key not in self._clients:
            self._clients[api_key] = openai.AsyncOpenAI(
                api_key=api_key or NO_KEY,
                base_url=self._base_url,
                max_retries=0,
                timeout=self._http_client.timeout,
                http_client=self._http_client,
            )
        return self._clients[api_key]
