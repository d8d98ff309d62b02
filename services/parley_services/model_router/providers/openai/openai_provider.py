"""Asks OpenAI's two APIs, and servers that speak them, through OpenAI's SDK."""

from collections.abc import Mapping
from typing import Any, Final, assert_never, cast

import httpx2
import openai

from parley_services.kit.chat.answer import FinishReason
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.http.raw_stream import (
    Decoder,
    RawStream,
    StreamLimits,
    error_of_connection,
    error_of_response,
)
from parley_services.model_router.providers.openai.chat_body import chat_body, unsent_stops
from parley_services.model_router.providers.openai.chat_decoder import ChatDecoder
from parley_services.model_router.providers.openai.responses_body import responses_body
from parley_services.model_router.providers.openai.responses_decoder import ResponsesDecoder
from parley_services.model_router.providers.provider import Api, ProviderCall, ProviderStream
from parley_services.model_router.providers.stop_sequences import stopping

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
NO_KEY: Final = "none"
"""What is sent to a compatible server that wants no key; the SDK insists on one."""


class OpenAIProvider:
    """
    Asks one server, each model by the API that its traits name.

    The SDK makes the URL, the headers and the errors; its retries are off, since the
    router is the one that retries.
    """

    def __init__(
        self,
        *,
        http_client: httpx2.AsyncClient,
        base_url: str = OPENAI_BASE_URL,
        limit_field: str = "max_completion_tokens",
        finish_reasons: Mapping[str, FinishReason] | None = None,
        limits: StreamLimits | None = None,
    ) -> None:
        """
        Own *http_client*, which must have its timeouts set.

        *finish_reasons* are the server's words for the end of an answer, besides those that all
        know.
        """
        self._http_client = http_client
        self._base_url = base_url
        self._limit_field = limit_field
        self._finish_reasons = finish_reasons
        self._limits = limits
        self._clients: dict[str, openai.AsyncOpenAI] = {}

    async def open(self, call: ProviderCall) -> ProviderStream:
        client = self._client(call.api_key)
        decoder: Decoder
        match call.model.api:
            case Api.CHAT_COMPLETIONS:
                path, body = "/chat/completions", chat_body(call, limit_field=self._limit_field)
                decoder, stops = ChatDecoder(self._finish_reasons), unsent_stops(call)
            case Api.RESPONSES:
                path, body = "/responses", responses_body(call)
                decoder, stops = (
                    ResponsesDecoder(self._finish_reasons),
                    call.request.parameters.stop_sequences,
                )
            case _:
                assert_never(call.model.api)
        try:
            # The generic method: the typed one checks each field of the body, for 0.5 ms.
            response = await client.post(
                path,
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
        return stopping(RawStream(cast(httpx2.Response, response), decoder, self._limits), stops)

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
