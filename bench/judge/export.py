"""Write a trained judge as ONNX with eight-bit weights.

python -m bench.judge.export WORK attack|pair FOLDER
"""

import pickle
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from bench.judge import base_minilm, guard_train, pair_train
from bench.judge.encoder import Params, Shape
from bench.judge.report import say


class Graph:
    """Collects nodes and constants; each call returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, value: Any, name: str = "") -> str:
        """Add a constant."""
        name = name or f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node."""
        out = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, list(inputs), [out], name=name or f"n{out}", **attributes)
        )
        return out

    def ints(self, *values: int) -> str:
        """Add a constant of whole numbers."""
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        """Add a constant of one number."""
        return self.constant(np.float32(value))

    def dense(self, x: str, weight: np.ndarray, bias: np.ndarray, name: str) -> str:
        """Multiply and add."""
        y = self.op("MatMul", x, self.constant(weight.astype(np.float32), name), name=name)
        return self.op("Add", y, self.constant(bias.astype(np.float32)))

    def norm(self, x: str, p: Params, key: str, epsilon: float) -> str:
        """Normalise the last axis."""
        gain, bias = (self.constant(np.float32(p[f"{key}_{x}"])) for x in "gb")
        return self.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=epsilon)


def embedded(g: Graph, frozen: Params, p: Params, shape: Shape, typed: bool) -> str:
    """Add the embedding, with one scale for each row of words."""
    word = frozen["word"].astype(np.float32)
    scale = np.maximum(np.abs(word).max(1, keepdims=True), 1e-8) / 127
    rows = g.constant(np.round(word / scale).astype(np.int8), "words")
    x = g.op("Cast", g.op("Gather", rows, "ids"), to=TensorProto.FLOAT)
    scales = g.op("Gather", g.constant(scale.astype(np.float32), "scales"), "ids")
    x = g.op("Mul", x, scales)
    length = g.op("Slice", g.op("Shape", "ids"), g.ints(1), g.ints(2))
    places = frozen["position"].astype(np.float32)[:256]
    if not typed:
        places = places + frozen["type"].astype(np.float32)[0]
    place = g.op("Slice", g.constant(places, "places"), g.ints(0), length, g.ints(0))
    x = g.op("Add", x, place)
    if typed:
        kinds = g.constant(frozen["type"].astype(np.float32), "kinds")
        x = g.op("Add", x, g.op("Gather", kinds, "types"))
    return g.norm(x, p, "ln", shape.epsilon)


def merged(g: Graph, p: Params, x: str, shape: Shape) -> tuple[str, str]:
    """Add the merging of neighbours."""
    n, h = shape.patch, shape.hidden
    x = g.op("Mul", x, g.op("Unsqueeze", "mask", g.ints(2)))
    groups = g.op("Reshape", x, g.ints(0, -1, n, h))
    counts = g.op("ReduceSum", g.op("Reshape", "mask", g.ints(0, -1, n)), g.ints(2), keepdims=0)
    least = g.op("Unsqueeze", g.op("Max", counts, g.scalar(1)), g.ints(2))
    mean = g.op("Div", g.op("ReduceSum", groups, g.ints(2), keepdims=0), least)
    wide = g.op("Pad", x, g.ints(0, n // 2, 0, 0, n // 2, 0))
    wide = g.op("Reshape", wide, g.ints(0, -1, n * h))
    left = g.op("Slice", wide, g.ints(0), g.ints(-1), g.ints(1))
    right = g.op("Slice", wide, g.ints(1), g.ints(1 << 30), g.ints(1))
    wide = g.op("Concat", left, right, axis=-1)
    y = g.op("Add", mean, g.dense(wide, p["conv_w"], p["conv_b"], "conv"))
    mask = g.op("Min", counts, g.scalar(1))
    return g.norm(y, p, "conv_ln", shape.epsilon), mask


def layer(g: Graph, p: Params, x: str, hidden_mask: str, shape: Shape, at: int) -> str:
    """Add one transformer layer."""
    h, heads = shape.hidden, shape.heads
    size = h // heads
    weight, bias = p["qkv_w"].copy(), p["qkv_b"].copy()
    weight[:, :h] /= size**0.5
    bias[:h] /= size**0.5
    qkv = g.dense(x, weight, bias, f"qkv{at}")
    parts = []
    for i, order in enumerate(((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))):
        part = g.op("Slice", qkv, g.ints(i * h), g.ints((i + 1) * h), g.ints(2))
        part = g.op("Reshape", part, g.ints(0, 0, heads, size))
        parts.append(g.op("Transpose", part, perm=order))
    scores = g.op("Add", g.op("MatMul", parts[0], parts[1]), hidden_mask)
    y = g.op("MatMul", g.op("Softmax", scores, axis=-1), parts[2])
    y = g.op("Reshape", g.op("Transpose", y, perm=(0, 2, 1, 3)), g.ints(0, 0, h))
    x = g.norm(g.op("Add", x, g.dense(y, p["o_w"], p["o_b"], f"o{at}")), p, "ln1", shape.epsilon)
    y = g.op("Gelu", g.dense(x, p["up_w"], p["up_b"], f"up{at}"))
    y = g.dense(y, p["down_w"], p["down_b"], f"down{at}")
    return g.norm(g.op("Add", x, y), p, "ln2", shape.epsilon)


def pooled(g: Graph, p: Params, x: str, mask: str) -> str:
    """Add the head."""
    wide = g.op("Unsqueeze", mask, g.ints(2))
    count = g.op("Max", g.op("ReduceSum", mask, g.ints(1), keepdims=1), g.scalar(1))
    mean = g.op("Div", g.op("ReduceSum", g.op("Mul", x, wide), g.ints(1), keepdims=0), count)
    hidden = g.op("Mul", g.op("Sub", wide, g.scalar(1)), g.scalar(1e4))
    top = g.op("ReduceMax", g.op("Add", x, hidden), g.ints(1), keepdims=0)
    first = g.op("Gather", x, g.constant(np.int64(0)), axis=1)
    y = g.op("Concat", first, mean, top, axis=-1)
    y = g.op("Tanh", g.dense(y, p["pool_w"], p["pool_b"], "pool"))
    return g.op("Softmax", g.dense(y, p["head_w"], p["head_b"], "head"), axis=-1)


def graph_of(frozen: Params, p: Params, shape: Shape, typed: bool) -> onnx.ModelProto:
    """Return the model; inputs ids, (types,) mask, output the probabilities."""
    g = Graph()
    x = embedded(g, frozen, p, shape, typed)
    mask = "mask"
    if shape.patch > 1:
        x, mask = merged(g, p, x, shape)
    away = g.op("Mul", g.op("Sub", mask, g.scalar(1)), g.scalar(1e9))
    away = g.op("Unsqueeze", away, g.ints(1, 2))
    for at, part in enumerate(p["layers"]):
        x = layer(g, part, x, away, shape, at)
    out = pooled(g, p, x, mask)
    g.nodes.append(helper.make_node("Identity", [out], ["probabilities"]))
    names = ["ids", "types"] if typed else ["ids"]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["n", "l"]) for n in names]
    inputs.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", "l"]))
    classes = p["head_b"].shape[0]
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])
    constants = [numpy_helper.from_array(v, k) for k, v in g.constants.items()]
    graph = helper.make_graph(g.nodes, "judge", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def main() -> None:
    """Read the parameters, write `model.onnx` and `tokenizer.json`."""
    work, which, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    if which == "pair":
        frozen, _, file = base_minilm.read(work / "base")
        shape, trained = pair_train.SHAPE, pickle.loads((work / "pair.pkl").read_bytes())
    else:
        frozen = pickle.loads((work / "guard_frozen.pkl").read_bytes())
        shape, trained = guard_train.SHAPE, pickle.loads((work / "guard.pkl").read_bytes())
        file = work / "guard_tokenizer.json"
    model = graph_of(frozen, trained, shape, typed=which == "pair")
    onnx.checker.check_model(model)
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / "whole.onnx"
        onnx.save(model, whole)
        quantize_dynamic(
            whole,
            folder / "model.onnx",
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=["pool", "head"],
            extra_options={"MatMulConstBOnly": True},
        )
        if "--keep-float" in sys.argv:
            onnx.save(model, work / f"{which}_float.onnx")
    (folder / "tokenizer.json").write_bytes(file.read_bytes())
    for name in ("model.onnx", "tokenizer.json"):
        say(name, round((folder / name).stat().st_size / 1e6, 2), "MB")


if __name__ == "__main__":
    main()
