"""Embeddings from an endpoint that speaks OpenAI's embeddings API."""

import math

import httpx

from services.semantic_cache.embedder import EmbedderUnavailable
from services.semantic_cache.store import Vector

_ERRORS = (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError)


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
    ) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._model = model
        self._dimension = dimension
        self._timeout_seconds = timeout_seconds

    @property
    def name(self) -> str:
        return f"{self._model.replace('/', '-')}-{self._dimension}"

    @property
    def dimension(self) -> int:
        return self._dimension

    async def embed(self, text: str) -> Vector:
        try:
            response = await self._client.post(
                self._url,
                json={"model": self._model, "input": text, "encoding_format": "float"},
                headers=self._headers,
                timeout=self._timeout_seconds,
            )
            response.raise_for_status()
            vector = [float(number) for number in response.json()["data"][0]["embedding"]]
        except _ERRORS as error:
            raise EmbedderUnavailable(f"{type(error).__name__} from the endpoint") from error
        if len(vector) != self._dimension or not all(map(math.isfinite, vector)):
            raise EmbedderUnavailable(f"{len(vector)} numbers instead of {self._dimension}")
        return vector
