"""Asks Anthropic's Messages API through Anthropic's SDK."""

from collections.abc import Mapping
from typing import Any, Final, cast

import anthropic
import httpx2

from parley_services.kit.chat.answer import FinishReason
from parley_services.model_router.attempt.failures import FailureKind, ProviderError
from parley_services.model_router.providers.anthropic.messages_body import (
    messages_body,
    unsent_stops,
)
from parley_services.model_router.providers.anthropic.messages_decoder import MessagesDecoder
from parley_services.model_router.providers.http.raw_stream import (
    RawStream,
    StreamLimits,
    error_of_connection,
    error_of_response,
)
from parley_services.model_router.providers.provider import ProviderCall, ProviderStream
from parley_services.model_router.providers.stop_sequences import stopping

ANTHROPIC_BASE_URL: Final = "https://api.anthropic.com"


class AnthropicProvider:
    """Asks one server for messages. The SDK's own retries are off."""

    def __init__(
        self,
        *,
        http_client: httpx2.AsyncClient,
        base_url: str = ANTHROPIC_BASE_URL,
        finish_reasons: Mapping[str, FinishReason] | None = None,
        limits: StreamLimits | None = None,
    ) -> None:
        """Own *http_client*, which must have its timeouts set."""
        self._http_client = http_client
        self._base_url = base_url
        self._finish_reasons = finish_reasons
        self._limits = limits
        self._clients: dict[str, anthropic.AsyncAnthropic] = {}

    async def open(self, call: ProviderCall) -> ProviderStream:
        client = self._client(call.api_key)
        try:
            response = await client.post(
                "/v1/messages",
                cast_to=cast(Any, httpx2.Response),
                body=messages_body(call),
                stream=True,
                stream_cls=anthropic.AsyncStream[object],
            )
        except anthropic.APIStatusError as error:
            raise error_of_response(error.response, error.body) from None
        except anthropic.APIConnectionError as error:
            raise error_of_connection(error.__cause__) from None
        except anthropic.AnthropicError:
            raise ProviderError(FailureKind.MALFORMED) from None
        decoder = MessagesDecoder(self._finish_reasons)
        stream = RawStream(cast(httpx2.Response, response), decoder, self._limits)
        return stopping(stream, unsent_stops(call))

    async def aclose(self) -> None:
        await self._http_client.aclose()

    def _client(self, api_key: str) -> anthropic.AsyncAnthropic:
        if api_key not in self._clients:
            self._clients[api_key] = anthropic.AsyncAnthropic(
                api_key=api_key or "none",
                base_url=self._base_url,
                max_retries=0,
                timeout=self._http_client.timeout,
                http_client=self._http_client,
            )
        return self._clients[api_key]
