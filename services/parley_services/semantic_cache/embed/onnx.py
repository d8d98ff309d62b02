"""A stronger embedder for candidates, from a folder with an ONNX model: the extra `onnx`."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from parley_services.semantic_cache.embed.embedder import EmbedderUnavailable

MODEL: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"
MAX_TOKENS: Final = 256
"""What sentence-transformers' all-MiniLM-L6-v2 looks at."""

_MAX_TEXTS = 4_096

Array = npt.NDArray[np.float32]


class OnnxMissing(Exception):
    """The extra is not installed, or the folder does not hold a model that can be run."""


class Input(Protocol):
    """An input of a session."""

    name: str


class Session(Protocol):
    """What is used of onnxruntime's InferenceSession."""

    def get_inputs(self) -> list[Input]: ...

    def run(self, output_names: None, input_feed: dict[str, Any]) -> list[Any]: ...


class OnnxEmbedder:
    """
    Compares texts by the mean of a transformer's last layer, some milliseconds a new text.

    It runs in one thread of its own, so that it never blocks the event loop, and keeps the
    vectors of the last 4,096 texts, about 6 MiB. Open it with `open_onnx_embedder`.
    """

    def __init__(
        self,
        session: Session,
        tokenizer: Tokenizer,
        calls: ThreadPoolExecutor,
        *,
        limit_seconds: float,
    ) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._calls = calls
        self._limit_seconds = limit_seconds
        self._names = {each.name for each in session.get_inputs()}
        self._vectors: OrderedDict[str, Array] = OrderedDict()

    async def cosine(self, one: str, other: str) -> float:
        """
        Return the cosine of the two texts' vectors, -1 to 1.

        Raises EmbedderUnavailable if the model fails or takes longer than the limit; what it
        was asked for is then made all the same and is there the next time.
        """
        new = [text for text in (one, other) if text not in self._vectors]
        if new:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._calls, lambda: [self.vector(each) for each in new])
            done, _ = await asyncio.wait({future}, timeout=self._limit_seconds)
            if not done:
                future.add_done_callback(lambda late: self._keep_late(new, late))
                raise EmbedderUnavailable("the ONNX model took too long")
            try:
                self._keep(new, future.result())
            except Exception as error:
                # onnxruntime has no common class of errors.
                raise EmbedderUnavailable("the ONNX model failed") from error
        self._vectors.move_to_end(one)
        self._vectors.move_to_end(other)
        cosine = float(self._vectors[one] @ self._vectors[other])
        while len(self._vectors) > _MAX_TEXTS:
            self._vectors.popitem(last=False)
        return cosine

    def vector(self, text: str) -> Array:
        """Return the vector of *text*, of length 1. Blocks while the model runs."""
        encoded = self._tokenizer.encode(text)
        mask = np.array([encoded.attention_mask], dtype=np.int64)
        feed = {
            "input_ids": np.array([encoded.ids], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        output = self._session.run(
            None, {name: value for name, value in feed.items() if name in self._names}
        )[0]
        states = np.asarray(output, dtype=np.float32)
        # Some exports pool themselves.
        mean = states[0] if states.ndim == 2 else states[0][mask[0] > 0].mean(axis=0)
        vector: Array = mean / max(float(np.sqrt(mean @ mean)), 1e-9)
        return vector

    def _keep(self, texts: list[str], vectors: list[Array]) -> None:
        self._vectors.update(zip(texts, vectors, strict=True))

    def _keep_late(self, texts: list[str], late: "asyncio.Future[list[Array]]") -> None:
        if not late.cancelled() and late.exception() is None:
            self._keep(texts, late.result())


@contextmanager
def open_onnx_embedder(
    folder: Path, *, limit_seconds: float, threads: int = 1
) -> Iterator[OnnxEmbedder]:
    """
    Open the model `model.onnx` with its `tokenizer.json` in *folder*.

    Raises OnnxMissing, which says what to install or what the folder lacks.
    """
    try:
        import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise OnnxMissing("install the extra `onnx`: pip install 'parley-suite[onnx]'") from error
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            str(folder / MODEL), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # Neither library has a class of errors for a file that is not there or not its own.
        raise OnnxMissing(f"{folder} must hold a {MODEL} and its {TOKENIZER}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    calls = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onnx")
    try:
        yield OnnxEmbedder(session, tokenizer, calls, limit_seconds=limit_seconds)
    finally:
        calls.shutdown()
