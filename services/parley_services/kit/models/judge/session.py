"""How a judge's files become a session of onnxruntime, and what can go wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

MODEL: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"


class JudgeMissing(Exception):
    """A file of the judge or the extra `onnx` is not there; the message says which."""


class JudgeBroken(Exception):
    """A file of the judge is there and cannot be read or does not fit the other."""


class JudgeFailed(Exception):
    """The judge gave no usable answer: inference threw, or a probability is not finite."""


class Session(Protocol):
    """What is used of onnxruntime's InferenceSession."""

    def run(self, names: Any, inputs: Mapping[str, Any]) -> list[Any]:
        """Return the outputs of one run."""


def open_session(folder: Path) -> tuple[Session, Tokenizer]:
    """
    Open `model.onnx` and `tokenizer.json` of *folder*; runs use the caller's thread only.

    Raises JudgeMissing and JudgeBroken.
    """
    for name in (MODEL, TOKENIZER):
        if not (folder / name).is_file():
            raise JudgeMissing(
                f"The judge's folder {folder} has no {name}: export the model there."
            )
    try:
        import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise JudgeMissing(
            "Install the extra `onnx`, as `pip install 'parley-suite[onnx]'`."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            str(folder / MODEL),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],  # The fused kernel costs a tenth more.
        )
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # Neither library has a common class of errors.
        raise JudgeBroken(
            f"The judge in {folder} cannot be read: export the model again."
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return cast(Session, session), tokenizer


def probabilities(session: Session, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Run the session and return its probabilities [rows, classes]. Raises JudgeFailed."""
    try:
        found = np.asarray(session.run(None, inputs)[0], dtype=np.float32)
    except Exception as error:  # onnxruntime has no common class of errors.
        raise JudgeFailed("The judge's inference failed.") from error
    rows = len(next(iter(inputs.values())))
    if found.ndim != 2 or len(found) != rows or not np.isfinite(found).all():
        raise JudgeFailed("The judge's probabilities are not finite or not one row a text.")
    return found
