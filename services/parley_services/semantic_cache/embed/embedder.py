"""What the cache needs of an embedder."""

from typing import Protocol

from parley_services.semantic_cache.embed.billing import Payer
from parley_services.semantic_cache.store.store import Vector


class EmbedderUnavailable(Exception):
    """The embedder is away or too slow. The message holds no text of users."""


class Embedder(Protocol):
    """Turns a text into a vector whose cosine with another's says how near they are."""

    @property
    def name(self) -> str:
        """What made the vectors, as `wordllama-256`. Vectors of two names never mix."""
        ...

    @property
    def dimension(self) -> int:
        """The length of every vector."""
        ...

    async def embed(self, text: str, payer: Payer) -> Vector:
        """Return the vector of *text*, at the cost of *payer*. Raises EmbedderUnavailable."""
        ...
