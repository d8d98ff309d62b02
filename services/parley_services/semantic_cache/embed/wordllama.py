"""Embeddings from the weights that WordLlama's wheel carries: no network, no key."""

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from tokenizers import Tokenizer

from parley_services.semantic_cache.embed.billing import Payer
from parley_services.semantic_cache.store.store import Vector

_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"


class WordLlamaEmbedder:
    """
    The mean of a text's token vectors, 256 long, unit length; about 25 µs a text.

    Reads the wheel's files itself: importing `wordllama` would set up the root logger
    and load an HTTP client, and its own loader goes to the network when it does not
    find its tokenizer.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or _package_folder()
        self._tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        with safe_open(folder / _WEIGHTS, framework="np") as weights:
            self._table: npt.NDArray[np.float16] = weights.get_tensor("embedding.weight")

    @property
    def name(self) -> str:
        return f"wordllama-{self.dimension}"

    @property
    def dimension(self) -> int:
        return int(self._table.shape[1])

    async def embed(self, text: str, payer: Payer) -> Vector:
        vector: list[float] = self.vector(text).tolist()
        return vector

    def vector(self, text: str) -> npt.NDArray[np.float32]:
        """Return the vector as an array; zeros for a text without a known token."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            return np.zeros(self.dimension, dtype=np.float32)
        mean: npt.NDArray[np.float32] = self._table[ids].astype(np.float32).mean(axis=0)
        length = float(np.sqrt(mean @ mean))
        if length:
            mean /= length
        return mean

    def word(self, word: str) -> npt.NDArray[np.float32]:
        """
        Return the vector of one word as it stands inside a text, of its own length.

        Common words have short vectors: the weights learnt how much each counts in a mean.
        """
        ids = self._tokenizer.encode(f" {word}", add_special_tokens=False).ids
        mean: npt.NDArray[np.float32] = self._table[ids].astype(np.float32).mean(axis=0)
        return mean


def _package_folder() -> Path:
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("Install the package wordllama: it carries the default weights.")
    return Path(spec.origin).parent
