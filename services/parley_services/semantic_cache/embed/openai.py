"""Embeddings from an endpoint that speaks OpenAI's embeddings API."""

import math
from array import array
from collections import OrderedDict
from typing import Any, Final

import httpx

from parley_services.kit.errors import Overloaded
from parley_services.kit.models.tokens import count_tokens
from parley_services.semantic_cache.embed.billing import Bills, Payer
from parley_services.semantic_cache.embed.embedder import EmbedderUnavailable
from parley_services.semantic_cache.store.store import Vector

REMEMBERED: Final = 1024
"""Texts whose vectors are kept, 6 KiB each: what was looked up without success is stored a
moment later, and is not paid for twice."""

_ERRORS = (ValueError, KeyError, IndexError, TypeError)
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class OpenAIEmbedder:
    """
    Asks *model* at `<base_url>/embeddings` for vectors of *dimension*.

    Uses *client*, which its maker closes, and gives up after *timeout_seconds*. It does
    not try again: a lookup that goes on without is better than one that waits.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        base_url: str,
        api_key: str,
        model: str,
        dimension: int,
        timeout_seconds: float,
        bills: Bills,
    ) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._model = model
        self._dimension = dimension
        self._timeout_seconds = timeout_seconds
        self._bills = bills
        self._vectors: OrderedDict[str, array[float]] = OrderedDict()

    @property
    def name(self) -> str:
        return f"{self._model.replace('/', '-')}-{self._dimension}"

    @property
    def dimension(self) -> int:
        return self._dimension

    async def embed(self, text: str, payer: Payer) -> Vector:
        """
        Return the vector of *text*. Raises EmbedderUnavailable.

        On cancel the call is booked by our own count, for it may have been made.
        """
        if text in self._vectors:
            self._vectors.move_to_end(text)
            return self._vectors[text].tolist()
        count = count_tokens(text, self._model)
        try:
            bill = self._bills.begin(payer, token_count=count)
        except Overloaded as error:
            raise EmbedderUnavailable("its cost could not be written down") from error
        try:
            response = await self._client.post(
                self._url,
                json={"model": self._model, "input": text, "encoding_format": "float"},
                headers=self._headers,
                timeout=self._timeout_seconds,
            )
        except httpx.HTTPError as error:
            sent = 0 if isinstance(error, _NOT_SENT) else count
            self._bills.end(bill, payer, token_count=sent, estimated=bool(sent))
            raise EmbedderUnavailable(f"{type(error).__name__} from the endpoint") from error
        if response.is_error:
            self._bills.end(bill, payer, token_count=0, estimated=False)
            raise EmbedderUnavailable(f"status {response.status_code} from the endpoint")
        said = _token_count(response)
        used = count if said is None else said
        self._bills.end(bill, payer, token_count=used, estimated=said is None)
        vector = self._vector(response)
        self._vectors[text] = array("f", vector)
        if len(self._vectors) > REMEMBERED:
            self._vectors.popitem(last=False)
        return vector

    def _vector(self, response: httpx.Response) -> Vector:
        try:
            vector = [float(number) for number in response.json()["data"][0]["embedding"]]
        except _ERRORS as error:
            raise EmbedderUnavailable(f"{type(error).__name__} from the endpoint") from error
        if len(vector) != self._dimension or not all(map(math.isfinite, vector)):
            raise EmbedderUnavailable(f"{len(vector)} numbers instead of {self._dimension}")
        return vector


def _token_count(response: httpx.Response) -> int | None:
    """Return the tokens that the endpoint says it read, None if it says nothing sensible."""
    try:
        said: Any = response.json()["usage"]["prompt_tokens"]
    except _ERRORS:
        return None
    return said if isinstance(said, int) and said >= 0 else None
